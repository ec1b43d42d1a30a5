"""Several answers to one question, of which one may say what the likeliest does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from unlearnkit.attacks.answers import Filed, Served
from unlearnkit.attacks.base import Attack, Of, Scene
from unlearnkit.data.rows import rows
from unlearnkit.errors import UserError, nearest
from unlearnkit.evaluations.base import Part
from unlearnkit.evaluations.evaluation import Evaluation
from unlearnkit.files import cache_folder
from unlearnkit.measures.base import Measure
from unlearnkit.measures.leak import Leak, MatcherAgreement
from unlearnkit.records.decoding import Decoding
from unlearnkit.records.generate import Drawn
from unlearnkit.settings.bounds import Arguments, Positive

OF: tuple[Of, ...] = ("unlearned", "start", "never_knew")


class Samples(Attack):
    """Answers on the forget side are drawn, and leak@k is measured in every evaluation (arXiv 2511.04934).

    The paper draws 200 answers to 400 questions at temperature 1.0 and takes k of 1, 2, 4, ... to 128. Measures of one
    response are means over a prompt's samples. Draws depend on the seed and on what is asked, and not on the ranks.

    Args:
        decoding: how many answers to a question, and how they are drawn.
        k: of leak@k, each a measure leak_K; none above `decoding.samples`.
        success: what tells whether an answer leaks; None: the judge in evaluations that have one, else the matcher.
        served: unlearned, start or never_knew -> the name under which `server` has that model. It is asked in chat.
        server: arguments of `unlearnkit.build.server.ChatServer`, and `concurrency`.
        files: unlearned, start or never_knew -> a file of that model's answers, a row of `prompt` and `response` each.
    """

    def __init__(
        self,
        decoding: Decoding,
        k: Sequence[Positive] = (1, 2, 4, 8, 16),
        success: Literal["judge", "matcher"] | None = None,
        served: dict[str, str] | None = None,
        server: Annotated[
            dict[str, Any] | None,
            Arguments(
                "unlearnkit.build.server.ChatServer",
                but={
                    "model": "Name models with PLACE.served.unlearned=NAME",
                    "temperature": "Set PLACE.decoding.temperature=",
                    "max_tokens": "Set max_new_tokens of the evaluation",
                },
                also={"concurrency": Positive},
            ),
        ] = None,
        files: dict[str, str] | None = None,
    ):
        self.decoding, self.k, self.success = decoding, sorted({int(number) for number in k}), success
        self.served, self.server, self.files = served or {}, dict(server or {}), files or {}

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        key, n = f"attacks.{name}", self.decoding.samples
        if self.decoding.greedy:
            raise UserError(
                f"{key}.decoding has no temperature: the greedy answer is measured without an attack",
                f"Set {key}.decoding.temperature= above 0, such as 1.0",
            )
        if not self.k or not 0 < self.k[0] <= self.k[-1] <= n:
            raise UserError(
                f"{key}.k={self.k} is to be of {n} samples a prompt", f"Set {key}.k= from 1 to {n}, or draw more"
            )
        for group in (self.served, self.files):
            if unknown := next((of for of in group if of not in OF), None):
                raise UserError(
                    f"{key} has answers of '{unknown}', which is no model of a run.{nearest(unknown, OF)}",
                    f"Valid: {', '.join(OF)}",
                )
        if twice := [of for of in self.served if of in self.files]:
            raise UserError(
                f"{key} takes the answers of '{twice[0]}' from a server and from a file",
                f"Leave out {key}.served.{twice[0]} or {key}.files.{twice[0]}",
            )
        if self.served and not self.server.get("base_url"):
            raise UserError(
                f"{key}.served names models, and no server has them", f"Set {key}.server.base_url=http://HOST:PORT/v1"
            )
        self.sources = {of: self._filed(of, path) for of, path in self.files.items()}
        self.sources |= {of: self._asking(model) for of, model in self.served.items()}

    def _filed(self, of: str, path: str) -> Drawn:
        setting = f"attacks.{self.name}.files.{of}"
        answers = Filed(self.decoding, rows(path, setting), path)
        answers.check([row.prompt for row in self.scene.questions], setting)
        return answers

    def _asking(self, model: str) -> Drawn:
        from unlearnkit.build.server import ChatServer  # seconds, and only a server's answers need it

        settings = {name: value for name, value in self.server.items() if name != "concurrency"}
        extra = {"top_p": self.decoding.top_p} if self.decoding.top_p else {}
        settings = {"cache": cache_folder(), **settings, "extra": {**extra, **(settings.get("extra") or {})}}
        server = ChatServer(model, **settings, temperature=self.decoding.temperature, max_tokens=None)
        return Served(self.decoding, server, int(self.server.get("concurrency", 8)))

    def answers(self, of: Of) -> Drawn:
        return self.sources.get(of) or Drawn(self.decoding)

    def brings(self, part: Part) -> Mapping[str, Measure]:
        if not isinstance(part, Evaluation):
            return {}
        if not part.decoding.greedy and part.decoding.samples < self.k[-1]:
            raise UserError(
                f"eval.{part.name} draws {part.decoding.samples} answers to a prompt itself, and attacks.{self.name}"
                f" compares leak@{self.k[-1]} with them",
                f"Set eval.{part.name}.decoding.temperature=null, or its samples= to {self.k[-1]} or more",
            )
        judged = any("harmful" in annotator.gives for annotator in part.annotators)
        if self.success == "judge" and not judged:
            raise UserError(
                f"attacks.{self.name}.success=judge, and eval.{part.name} has no judge",
                f"Set attacks.{self.name}.success=null for the matcher there, or give eval.{part.name}.judge=",
            )
        source = self.success or ("judge" if judged else "matcher")
        measures: dict[str, Measure] = {f"leak_{k}": Leak(k, source) for k in self.k}
        return {**measures, **({"matcher_agreement": MatcherAgreement()} if judged else {})}
