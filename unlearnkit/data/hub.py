"""Files of the hub's data sets, in its own cache."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download

from unlearnkit.errors import UserError, first_line

ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+?))?/?$")


def downloaded(source: str, setting: str, endings: tuple[str, ...]) -> Path:
    """The file or folder of an address, hf://datasets/ORG/NAME[@REVISION][/FILE or FOLDER], in the hub's cache.

    Args:
        setting: where it was given, for errors.
        endings: of the files that are wanted of a whole data set.

    Raises:
        UserError: another address, no such data set or file, or the hub is out of reach.
    """
    address = ADDRESS.match(source)
    if not address:
        raise UserError(
            f"{setting}={source} is no address that data are read from",
            "Write hf://datasets/ORG/NAME, with /FILE behind it for one of its files, or download it and give its path",
        )
    name, revision, inside = address.groups()
    patterns = [inside, f"{inside}/*"] if inside else [f"*{ending}" for ending in endings]
    try:
        folder = Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:  # the hub's own errors are OSErrors
        raise UserError(
            f"No data '{name}': {first_line(error)}",
            f"hf download --repo-type dataset {name} --local-dir FOLDER, then {setting}=FOLDER",
        ) from error
    if inside and not (folder / inside).exists():
        raise UserError(f"The data '{name}' have no file or folder '{inside}'", f"Check {setting}=")
    return folder / inside if inside else folder
