"""Where a run's numbers go besides its own folder."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.files import write
from unlearnkit.measures.columns import before_and_after
from unlearnkit.measures.display import only_in_figures
from unlearnkit.secrets import redact, redacted
from unlearnkit.sums import is_damaged

MODES = ("offline", "online", "shared", "disabled", "dryrun")
ONLINE = ("online", "shared")
PATIENCE = 30.0  # seconds for W&B's server to take a run
STEPS = "step"  # the x axis of every curve but those over layers


class Tracker(Protocol):
    """What a run tells as it goes."""

    def start(self, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, row: dict[str, Any]) -> None:
        """What a stage says of a training step."""

    def point(self, row: dict[str, Any]) -> None:
        """A measurement between training steps: {stage, step, evaluation/set/metric: value}."""

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None: ...


class Nowhere:
    """No tracker."""

    def start(self, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, row: dict[str, Any]) -> None: ...

    def point(self, row: dict[str, Any]) -> None: ...

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None: ...


class WandB:
    """Weights & Biases: offline, so that no account is needed, unless WANDB_MODE says otherwise.

    Names: `train/STAGE/loss`, `curve/EVALUATION/SET/METRIC` over `step`, `krs/SETTING` over `layer`; in the summary
    `before/...` and `after/...`; the tables `metrics` and `answers`; the report as an artifact.

    Args:
        group: what the run belongs to, such as a sweep.
    """

    def __init__(
        self,
        project: str = "unlearnkit",
        tags: list[str] | None = None,
        group: str | None = None,
        name: str | None = None,
    ):
        self.project, self.tags, self.group, self.name = project, tags, group, name
        check_mode()  # before a model is loaded

    def start(self, config: dict[str, Any], folder: Path) -> None:
        path = folder / "wandb" / "id"
        known = path.read_text(errors="replace") if path.is_file() and not is_damaged(path) else None
        self.folder = folder
        self.run = open_run(
            folder,
            id=known or uuid.uuid4().hex[:8],  # what goes on after an interruption is the same run
            resume="allow" if known else None,
            project=self.project,
            tags=self.tags,
            group=self.group,
            name=self.name,
            config=described(config, self.group),
        )
        path.parent.mkdir(exist_ok=True)
        write(path, self.run.id)

    def log(self, row: dict[str, Any]) -> None:
        self._log(f"train/{row.get('stage', 'run')}", row)

    def point(self, row: dict[str, Any]) -> None:
        self._log("curve", {key: value for key, value in row.items() if not only_in_figures(key.split("/")[-1])})

    def _log(self, place: str, row: dict[str, Any]) -> None:
        values = {f"{place}/{key}": value for key, value in row.items() if key not in ("stage", STEPS)}
        self.run.log({**values, STEPS: row.get(STEPS, 0)})

    def finish(self, metrics: dict[str, Any], answers: list[dict[str, Any]]) -> None:
        import wandb

        before, after = before_and_after(metrics)
        for when, numbers in (("before", before), ("after", after)):
            values = {"/".join((when, *c)): e.value for c, e in numbers.items() if not only_in_figures(c[-1])}
            self.run.summary.update(values)
        self._log_layers({column: entry.value for column, entry in after.items() if only_in_figures(column[-1])})
        rows: list[list[Any]] = [
            ["/".join(column), when, entry.value, entry.low, entry.high, entry.n]
            for when, numbers in (("before", before), ("after", after))
            for column, entry in numbers.items()
        ]
        columns: list[Any] = ["metric", "when", "value", "low", "high", "n"]
        tables = {"metrics": wandb.Table(columns=columns, data=rows, allow_mixed_types=True)}
        if answers:
            names: list[Any] = list(answers[0])
            data = [[answer[name] for name in names] for answer in answers]
            tables["answers"] = wandb.Table(columns=names, data=data, allow_mixed_types=True)
        with staged_in(self.folder):
            self.run.log(tables)
            if (report := self.folder / "report.html").is_file():
                artifact = wandb.Artifact(f"report-{self.run.id}", type="report")
                artifact.add_file(str(report))
                self.run.log_artifact(artifact)
            self.run.finish()

    def _log_layers(self, numbers: dict[tuple[str, ...], float]) -> None:
        """A probe's score by layer: one curve a setting, and one a set that an attack has looked at."""
        rows: dict[int, dict[str, float]] = {}
        for column, value in numbers.items():
            rows.setdefault(int(column[-1].removeprefix("layer_")), {})["/".join(column[:-1])] = value
        for name in dict.fromkeys(name for row in rows.values() for name in row):
            self.run.define_metric(name, step_metric="layer")
        for layer, row in sorted(rows.items()):
            self.run.log({**row, "layer": layer})


def check_mode() -> None:
    """What can be known of WANDB_MODE before a model is loaded. Online without a network, the run is kept offline.

    Raises:
        UserError: an unknown mode; online without a key.
    """
    mode = os.environ.get("WANDB_MODE", "offline")
    offline = "Leave WANDB_MODE out: the run is kept offline, and 'wandb sync FOLDER' sends it later"
    if mode not in MODES:
        raise UserError(f"Unknown WANDB_MODE '{mode}'.{nearest(mode, MODES)} Valid: {', '.join(MODES)}", offline)
    if mode not in ONLINE:
        return
    import wandb

    if not (os.environ.get("WANDB_API_KEY") or wandb.login(prompt=False)):
        raise UserError(f"WANDB_MODE={mode} needs an API key, and there is none", f"Run 'wandb login'. {offline}")
    server = urlsplit(wandb.Settings().base_url)
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return
    try:
        socket.create_connection((server.hostname or "", server.port or 443), timeout=10).close()
    except OSError as error:
        _go_offline(f"{server.hostname} cannot be reached: {error.strerror or error}")


def _go_offline(why: str) -> None:
    """A run is worth more than its curves on a server."""
    mode, os.environ["WANDB_MODE"] = os.environ["WANDB_MODE"], "offline"
    print(f"WANDB_MODE={mode}, but {why}: the run is kept offline, and 'wandb sync FOLDER' sends it later", flush=True)


def open_run(folder: Path, **settings: Any) -> Any:
    """A W&B run whose files lie in `folder`/wandb; offline unless WANDB_MODE says otherwise and its server agrees."""
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    # A service that a parent process began still holds the ID of a run that was killed, and refuses its successor.
    os.environ.pop("WANDB_SERVICE", None)

    def begin(mode: Any) -> Any:
        plain = wandb.Settings(console="off", x_disable_stats=True, init_timeout=PATIENCE)
        with _redacted_command():
            return wandb.init(dir=str(folder), mode=mode, settings=plain, **redacted(settings))

    mode = os.environ.get("WANDB_MODE", "offline")
    try:
        run = begin(mode)
    except wandb.Error as error:  # a server that does not answer, or does not know the key
        if mode not in ONLINE:
            raise
        _go_offline(first_line(error))
        run = begin("offline")
    run.define_metric("*", step_metric=STEPS)
    return run


@contextlib.contextmanager
def _redacted_command() -> Iterator[None]:
    """W&B keeps the command line that it finds."""
    own = sys.argv
    sys.argv = [redact(word) for word in own]
    try:
        yield
    finally:
        sys.argv = own


def described(config: dict[str, Any], group: str | None) -> dict[str, Any]:
    """A run's config with the names to group runs by at its top; of the sweep's own part only the name."""
    names = {key: dict(config.get(key) or {}).get("name") for key in ("model", "data")}
    labels = {f"{key}_name": name for key, name in names.items() if name}
    return {**{key: value for key, value in config.items() if key != "sweep"}, **labels, "sweep": group}


@contextlib.contextmanager
def staged_in(folder: Path) -> Iterator[None]:
    """Files of artifacts and tables wait in the run's own folder for `wandb sync`, not in the user's home."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = before or str((folder / "wandb" / "data").resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
