"""Fictitious authors (Tian et al. 2024, section 2.2.2 and B.2): a profile, then questions and answers about it."""

from __future__ import annotations

from functools import partial

from unlearnkit.build import parse
from unlearnkit.build.asking import Asking, Request
from unlearnkit.build.checks import check_number
from unlearnkit.build.dataset import SCOPES, Made, Row, unique
from unlearnkit.build.prompts import Prompts
from unlearnkit.errors import UserError


class Privacy:
    """Two requests an author.

    Args:
        attributes: scope -> the profile's attributes; a row's type is one of them and decides its scope.
        questions: rows an author, half of them about the attributes of each scope.
        prompts: `profile` with {name}; `questions` with {name}, {profile}, {count}, {half}, {retention}, {unlearn}.
    Raises:
        UserError: for a prompt that cannot be filled in, or attributes that do not say which scope.
    """

    def __init__(self, system: str, attributes: dict[str, list[str]], questions: int, prompts: dict[str, str]):
        check_number("domain.questions", questions, 2, 200)
        self.system, self.questions = system, questions
        self.scopes = {attribute: scope for scope in attributes for attribute in attributes[scope]}
        if set(attributes) != set(SCOPES) or len(self.scopes) != sum(map(len, attributes.values())):
            raise UserError(
                f"domain.attributes has the scopes {', '.join(attributes)}, or an attribute in two of them.",
                "Give each attribute to one of domain.attributes.unlearn and domain.attributes.retention",
            )
        self.listed = {scope: ", ".join(attributes[scope]) for scope in SCOPES}
        fields = ("name", "profile", "count", "half", *SCOPES)
        self.prompts = Prompts(prompts, {"profile": ("name",), "questions": fields})

    def check(self, names: list[str]) -> None:
        """Any name will do."""

    def make(self, name: str, asking: Asking) -> Made:
        """One author's rows; none where the profile or the questions stay malformed."""
        read = partial(parse.profile, name=name, attributes=list(self.scopes))
        profile = asking.one(Request("profile", self.prompts("profile", name=name), read))
        if profile is None:
            return Made()
        prompt = self.prompts(
            "questions",
            name=name,
            profile="\n".join(f"{key.capitalize()}: {value}" for key, value in profile.items()),
            count=self.questions,
            half=self.questions // 2,
            **self.listed,
        )
        parser = partial(parse.questions, name=name, types=self.scopes, count=self.questions)
        entries = asking.one(Request("questions", prompt, parser)) or []
        rows = [Row(name, question, answer, kind, self.scopes[kind]) for question, answer, kind in entries]
        return Made(*unique(rows), {"profile": profile})
