"""Books (Tian et al. 2024, section 2.2.1 and B.1): queries by category, facts that pass a self-check, answers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from unlearnkit.build import parse
from unlearnkit.build.asking import Asking, Request
from unlearnkit.build.checks import check_number
from unlearnkit.build.dataset import SCOPES, Made, Row, unique
from unlearnkit.build.parse import fold
from unlearnkit.build.prompts import Prompts
from unlearnkit.errors import UserError, nearest

REVISION = "revision"  # the type of queries that rewrite a confirmed fact


class Copyright:
    """A title's queries, then an answer to each.

    Args:
        categories: type -> {scope, about, count}: what the queries are about, and how many.
        pairs: tragic pairs to ask for, at most. Each is checked by a request of its own.
        rewrites: queries for each pair that passed the check; they are to be unlearned.
        answer_words: about how long an answer is to be.
        refusals: how an answer begins that declines; it is refused, for it would teach the model to decline.
        public_domain: titles whose rows are all to be retained (17 U.S.C. 302).
        prompts: `queries` with {title}, {about}, {count}; `pairs` with {title}, {count}; `check` with {title},
            {subject}, {object}; `rewrite` with these and {count}; `answer` with {title}, {query}, {words}.
    Raises:
        UserError: for a prompt that cannot be filled in or a category that is not whole; from `check`, for a title
            in `public_domain` that is not among the names.
    """

    def __init__(
        self,
        system: str,
        categories: dict[str, dict[str, Any]],
        pairs: int,
        rewrites: int,
        answer_words: int,
        prompts: dict[str, str],
        refusals: list[str] | None = None,
        public_domain: list[str] | None = None,
    ):
        self.system, self.categories, self.pairs, self.rewrites = system, categories, pairs, rewrites
        self.answer_words, self.refusals = answer_words, refusals or []
        self.public_domain = [str(title) for title in public_domain or []]
        for name, category in categories.items():
            if set(category) != {"scope", "about", "count"} or category["scope"] not in SCOPES:
                raise UserError(
                    f"domain.categories.{name} is {category}.", "It has scope (unlearn or retention), about and count"
                )
            check_number(f"domain.categories.{name}.count", category["count"], 1, 100)
        for key, number, low in (("pairs", pairs, 0), ("rewrites", rewrites, 1), ("answer_words", answer_words, 1)):
            check_number(f"domain.{key}", number, low, 10_000)
        fact = ("title", "subject", "object")
        fields = {
            "queries": ("title", "about", "count"),
            "pairs": ("title", "count"),
            "check": fact,
            "rewrite": (*fact, "count"),
            "answer": ("title", "query", "words"),
        }
        self.prompts = Prompts(prompts, fields)
        abouts = {name: category["about"] for name, category in categories.items()}
        self.abouts = Prompts(abouts, dict.fromkeys(categories, ("title",)), "domain.categories.about")

    def check(self, names: list[str]) -> None:
        """Every title of `public_domain` is one of the names."""
        known = {fold(name) for name in names}
        for title in self.public_domain:
            if fold(title) not in known:
                raise UserError(
                    f"domain.public_domain has '{title}', which is not in names.{nearest(title, names)}",
                    "Write it as in names, or leave it out",
                )

    def make(self, title: str, asking: Asking) -> Made:
        """One title's rows; those whose queries or answers stay malformed are left out."""
        requests = [self._queries(title, name) for name in self.categories]
        if self.pairs:
            prompt = self.prompts("pairs", title=title, count=self.pairs)
            requests.append(Request("pairs", prompt, partial(parse.pairs, most=self.pairs)))
        results = asking.many(requests)
        facts = self._checked(title, (results[len(self.categories) :] or [None])[0] or [], asking)
        drafts = [
            Row(title, query, "", name, str(category["scope"]))
            for (name, category), queries in zip(self.categories.items(), results, strict=False)
            for query in queries or []
        ]
        confirmed = [fact for fact in facts if fact["confirmed"]]
        for queries in asking.many([self._rewrite(title, fact) for fact in confirmed]):
            drafts += [Row(title, query, "", REVISION, "unlearn") for query in queries or []]
        if fold(title) in map(fold, self.public_domain):
            drafts = [replace(draft, scope="retention") for draft in drafts]
        distinct, dropped = unique(drafts)
        answers = asking.many([self._answer(title, draft) for draft in distinct])
        rows = [replace(row, answer=text) for row, text in zip(distinct, answers, strict=True) if text is not None]
        return Made(rows, dropped, {"pairs": facts})

    def _checked(self, title: str, pairs: list[tuple[str, str]], asking: Asking) -> list[dict[str, Any]]:
        """The pairs, each confirmed (True), denied (False) or left open (None: no answer was True or False)."""
        facts = [{"subject": subject, "object": other} for subject, other in pairs]
        requests = [Request("check", self.prompts("check", title=title, **fact), parse.verdict) for fact in facts]
        return [{**fact, "confirmed": confirmed} for fact, confirmed in zip(facts, asking.many(requests), strict=True)]

    def _queries(self, title: str, name: str) -> Request:
        about, count = self.abouts(name, title=title), self.categories[name]["count"]
        prompt = self.prompts("queries", title=title, about=about, count=count)
        return Request(f"queries ({name})", prompt, partial(parse.queries, title=title, count=count))

    def _rewrite(self, title: str, fact: dict[str, Any]) -> Request:
        ends = {"subject": fact["subject"], "object": fact["object"]}
        prompt = self.prompts("rewrite", title=title, count=self.rewrites, **ends)
        return Request("rewrite", prompt, partial(parse.queries, title=title, count=self.rewrites))

    def _answer(self, title: str, draft: Row) -> Request:
        prompt = self.prompts("answer", title=title, query=draft.question, words=self.answer_words)
        return Request(f"answer ({draft.type})", prompt, partial(parse.answer, refusals=self.refusals))
