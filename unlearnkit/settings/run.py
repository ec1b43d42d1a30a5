"""What reads the keys at the top of a config: the commands themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from unlearnkit.settings.bounds import Arguments, Count, Made, Seed, Several, Unread


class Run:
    """`python -m unlearnkit`. `train` holds what the method's finetune stages take, so these say what it may hold."""

    model: Annotated[Any, Made("unlearnkit.models.LanguageModel")]
    target: Annotated[Any, Made("unlearnkit.controls.Target")]
    judge: Annotated[Any, Made("unlearnkit.judges.base.Judge")]
    data: Annotated[Any, Made("unlearnkit.data.examples.Data")]
    logger: Annotated[Any, Made("unlearnkit.runs.tracking.Tracker")]
    eval: dict[str, Annotated[Any, Made("unlearnkit.evaluations.Part")]]
    controls: dict[str, Annotated[Any, Made("unlearnkit.controls.Control")] | None] | None
    attacks: dict[str, Annotated[Any, Made("unlearnkit.attacks.Attack")]]
    streams: dict[str, Annotated[Any, Made()]]
    train: Annotated[
        dict[str, Any],
        Arguments(
            "unlearnkit.stages.Finetune",
            but={
                "terms": "Set the terms of a stage with stages.STAGE.terms.NAME=",
                "deepspeed": "Choose an engine with deepspeed=",
            },
            also={"eval_every": Count, "tune": Several | None},
        ),
    ]
    deepspeed: dict[str, Any]
    stages: dict[str, Annotated[Any, Made("unlearnkit.stages.Stage")]]
    method: str
    seed: Seed
    eval_every: Count
    curve_split: str | list[str]  # of the data's, see `unlearnkit.runs.checks`
    save_model: bool
    push_to_hub: str | None
    resume: Literal["auto", "never"]
    paper: Any  # see `unlearnkit.settings.references`
    sweep: dict[str, Any]
    scale: str | None


class Build:
    """`python -m unlearnkit.build`; the numbers' ranges are in `unlearnkit.build.run`."""

    domain: Annotated[Any, Made("unlearnkit.build.run.Domain")]
    names: str | list[Any] | None
    output: str
    seed: int | None
    validation: float
    attempts: int
    max_failed: float
    concurrency: int
    server: Annotated[Any, Made("unlearnkit.build.server.ChatServer")]
    price_per_million: dict[str, float] | None


class Guarding:
    """`python -m unlearnkit.evaluations.scope_classifier`; what `Unread` stands at comes along with a data set."""

    target: Annotated[Any, Unread()]
    eval: Annotated[Any, Unread()]
    controls: Annotated[Any, Unread()]
    paper: Annotated[Any, Unread()]
    data: Annotated[Any, Made("unlearnkit.data.examples.Data")]
    kind: str
    prefix: str
    split: str
    seed: Seed
    classifiers: dict[str, Annotated[Any, Made("unlearnkit.evaluations.scope_classifier.ScopeClassifier")]]
