"""Local files -> task YAML that includes the harness's own prompts and metrics, and differs in the data alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import lm_eval.tasks
import yaml

import unlearnkit.data
from unlearnkit.cache import load_or_make, place
from unlearnkit.errors import UserError, nearest
from unlearnkit.files import cache_folder
from unlearnkit.general import rows

HARNESS = Path(lm_eval.tasks.__file__).parent
# Task -> the harness's own YAML.
FILES = {
    "mmlu": HARNESS / "mmlu/default/_mmlu.yaml",
    "arc_challenge": HARNESS / "arc/arc_challenge.yaml",
    "truthfulqa_mc1": HARNESS / "truthfulqa/truthfulqa_mc1.yaml",
    "truthfulqa_mc2": HARNESS / "truthfulqa/truthfulqa_mc2.yaml",
    "social_iqa": HARNESS / "siqa/siqa.yaml",
    "race": HARNESS / "race/race.yaml",
    **{f"wmdp_{subject}": HARNESS / f"wmdp/wmdp_{subject}.yaml" for subject in ("bio", "chem", "cyber")},
}
EMBEDDED = Path(unlearnkit.data.__file__).parent / "embedded" / "wmdp"  # questions made for this project
HERE = "<HERE>"  # stands for the generated folder until its name, the hash of its files, is known
READERS: dict[str, Callable[[Path], rows.Documents]] = {
    "arc_challenge": rows.arc_challenge,
    "truthfulqa_mc1": rows.truthfulqa,
    "truthfulqa_mc2": rows.truthfulqa,
    "social_iqa": rows.social_iqa,
    "race": rows.race,
    **{f"wmdp_{subject}": partial(rows.wmdp, subject=subject) for subject in ("bio", "chem", "cyber")},
}


def generate(folder: Path, tasks: list[str]) -> Path:
    """A folder for the harness's `include_path`: the tasks by their own names, on the rows of local files.

    It lies in the cache under the hash of the rows, so the same rows are written once.

    Raises:
        UserError: a task there is no local form of, a missing file, or a malformed row by file and line.
    """
    if not folder.is_dir():
        raise UserError(
            f"eval.general.data_dir={folder} is no folder",
            "Give a folder with mmlu/, arc_challenge_test.jsonl, social_iqa/, race/, truthfulqa/ and wmdp/",
        )
    for task in tasks:
        if task not in FILES:
            raise UserError(
                f"Unknown general task '{task}' for local files.{nearest(task, FILES)} Valid: {', '.join(FILES)}",
                "Set eval.general.tasks= to some of these, or leave data_dir out for any task of the harness",
            )
    sources = {task: READERS[task](folder) for task in tasks if task in READERS}
    subjects = rows.mmlu(folder) if "mmlu" in tasks else {}
    for subject in subjects:
        if not _subject_file(f"mmlu_{subject}").is_file():
            known = [path.stem.removeprefix("mmlu_") for path in FILES["mmlu"].parent.glob("mmlu_*.yaml")]
            raise UserError(
                f"MMLU has no subject '{subject}'.{nearest(subject, known)}",
                f"Rename {folder / 'mmlu' / 'test' / subject}_test.csv, and its dev file, to one of MMLU's subjects",
            )
    files: dict[str, str] = {}
    for task, splits in ({f"mmlu_{subject}": splits for subject, splits in subjects.items()} | sources).items():
        files |= _task_files(task, splits)
    if subjects:
        group = {"include": str(FILES["mmlu"]), "task": [f"mmlu_{subject}" for subject in subjects]}
        files["mmlu.yaml"] = yaml.safe_dump(group)
    # The tasks name their folder, so that where it lies decides them too.
    content = {"lm_eval": version("lm_eval"), "files": files, "cache": str(cache_folder().resolve())}
    here = str(place("general", content))

    def make(made: Path) -> None:
        for name, text in files.items():
            (made / name).write_text(text.replace(HERE, here) if name.endswith(".yaml") else text, "utf-8")

    return load_or_make("general", content, make, lambda made: made)


def _task_files(task: str, splits: rows.Documents) -> dict[str, str]:
    """Name -> text of a task's rows, a file a split, and of its YAML."""
    absent = {"training_split", "validation_split", "test_split"} - {f"{split}_split" for split in splits}
    config = {
        "include": str(FILES.get(task) or _subject_file(task)),
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: f"{HERE}/{task}_{split}.jsonl" for split in splits}},
        **dict.fromkeys(sorted(absent)),
    }
    if task.startswith("wmdp"):  # its own examples would be MMLU's, whose split there is not here
        config["fewshot_split"] = None
    lines = {
        f"{task}_{split}.jsonl": "".join(json.dumps(document) + "\n" for document in documents)
        for split, documents in splits.items()
    }
    return lines | {f"{task}.yaml": yaml.safe_dump(config, sort_keys=False)}


def _subject_file(task: str) -> Path:
    return FILES["mmlu"].parent / f"{task}.yaml"
