"""A build: every name through its domain's steps, then the files."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress

from unlearnkit.build.asking import Asking
from unlearnkit.build.checks import check_number
from unlearnkit.build.dataset import SCOPES, Made, files, unique
from unlearnkit.build.names import read_names
from unlearnkit.build.server import ChatServer
from unlearnkit.configuration import options
from unlearnkit.errors import UserError
from unlearnkit.files import write


class Domain(Protocol):
    """What `conf/domain` chooses."""

    system: str

    def check(self, names: list[str]) -> None:
        """UserError for names that do not fit the settings."""

    def make(self, name: str, asking: Asking) -> Made:
        """One name's rows."""


def run(cfg: DictConfig) -> None:
    """Build the data set that a config describes; the only function here that sees it.

    Raises:
        UserError: for settings that cannot be used, a server that fails, answers that are mostly malformed.
    """
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    if not settings.get("domain"):
        raise UserError(
            f"No domain is chosen. Valid: {', '.join(options('domain'))}", "Choose one of these with +domain="
        )
    _check(settings)
    names = read_names(settings["names"])
    domain: Domain = instantiate(cfg.domain, _convert_="all")
    domain.check(names)
    server: ChatServer = instantiate(cfg.server, _convert_="all")
    output = _folder(settings["output"])
    made, askings = ask_all(
        domain, names, server, settings["seed"], settings["attempts"], settings["max_failed"], settings["concurrency"]
    )
    rows, again = unique(row for name in names for row in made[name].rows)
    for scope in SCOPES:
        if not any(row.scope == scope for row in rows):
            raise UserError(
                f"No row is left in the {scope} scope: {_last_refusal(list(askings.values()))}",
                "Use a more capable server.model, or raise attempts; finished requests are kept and not asked again",
            )
    parts = files(rows, settings["validation"], settings["seed"])
    duplicates = [row for name in names for row in made[name].duplicates] + again
    skipped = [entry for name in names for entry in askings[name].skipped]
    report = {
        "settings": settings,
        "requests": server.tally.as_dict(),
        "rows": {name: len(part) for name, part in parts.items()},
        "names": {
            name: {scope: sum(row.scope == scope and row.name == name for row in rows) for scope in SCOPES}
            | made[name].facts
            for name in names
        },
        "duplicates": [{"name": row.name, "question": row.question, "scope": row.scope} for row in duplicates],
        "skipped": skipped,
        "refused": [entry for name in names for entry in askings[name].refused],
    }
    _write(output, {**parts, "build.json": report})
    for entry in skipped:
        print(f"Skipped: {entry['step']} of '{entry['name']}': {entry['why']}")
    print(server.tally.line())
    print(
        f"{len(rows)} rows ({', '.join(f'{scope} {sum(row.scope == scope for row in rows)}' for scope in SCOPES)}) "
        f"of {len(names)} names, {len(duplicates)} equal questions dropped, {len(skipped)} requests skipped: {output}"
    )


def ask_all(
    domain: Domain,
    names: list[str],
    server: ChatServer,
    seed: int | None,
    attempts: int,
    max_failed: float,
    concurrency: int,
) -> tuple[dict[str, Made], dict[str, Asking]]:
    """Every name's rows and its requests; the first error ends all, answers on their way are still kept.

    Raises:
        UserError: the server fails, or more than `max_failed` of a name's requests had malformed answers only.
    """
    stop = threading.Event()
    # A name waits for its requests, so names and requests have threads of their own; `concurrency` is of requests.
    requests, threads = ThreadPoolExecutor(concurrency), ThreadPoolExecutor(min(len(names), concurrency))
    askings = {name: Asking(name, domain.system, server, seed, attempts, requests, stop) for name in names}
    made: dict[str, Made] = {}
    try:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=len(names))
            running = {threads.submit(domain.make, name, askings[name]): name for name in names}
            while running:
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    made[name] = future.result()
                    _check_failed(askings[name], max_failed)
                    if not console.is_terminal:
                        print(f"{len(made)} of {len(names)} names; {server.tally.line()}", file=sys.stderr)
                progress.update(task, completed=len(made), description=server.tally.line())
    except BaseException:
        print(server.tally.line(), file=sys.stderr)
        raise
    finally:
        stop.set()
        requests.shutdown(wait=False, cancel_futures=True)
        threads.shutdown(wait=False, cancel_futures=True)
    return made, askings


def _check_failed(asking: Asking, max_failed: float) -> None:
    if len(asking.skipped) > max_failed * asking.request_count:
        raise UserError(
            f"{len(asking.skipped)} of the {asking.request_count} requests for '{asking.name}' had only malformed"
            f" answers: {_last_refusal([asking])}",
            f"Use a more capable server.model, raise attempts or max_failed (now {max_failed:g}), or leave the name "
            "out; finished requests are kept and not asked again",
        )


def _last_refusal(askings: list[Asking]) -> str:
    refused = [entry for asking in askings for entry in asking.refused]
    return f"{refused[-1]['step']}: {refused[-1]['why']}" if refused else "no question was of that scope"


def _check(settings: dict[str, Any]) -> None:
    """UserError for a number that is none or out of its range."""
    check_number("attempts", settings["attempts"], 1, 100)
    check_number("concurrency", settings["concurrency"], 1, 1000)
    check_number("max_failed", settings["max_failed"], 0, 1, whole=False)
    check_number("validation", settings["validation"], 0.01, 0.5, whole=False)
    check_number("seed", settings["seed"], 0, 2**31, optional=True)


def _folder(output: str) -> Path:
    """The folder, made now: better before the requests than after."""
    folder = Path(output).expanduser()
    if not (folder / "build.json").exists() and any((folder / f"{scope}_train.json").exists() for scope in SCOPES):
        raise UserError(f"{folder} holds a data set from elsewhere.", "Choose another folder with output=FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "build.json.partial").touch()
        (folder / "build.json.partial").unlink()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}", "Choose another folder with output=FOLDER"
        ) from None
    return folder


def _write(folder: Path, contents: dict[str, Any]) -> None:
    try:
        for name, content in contents.items():
            write(folder / name, json.dumps(content, ensure_ascii=False, indent=4) + "\n")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}",
            "Free some space, then run the same command again: every answer is kept and nothing is asked again",
        ) from None
