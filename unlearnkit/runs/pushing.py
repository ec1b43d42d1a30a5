"""A run's `model/` sent to the hub, where that was asked for."""

from __future__ import annotations

from pathlib import Path

from unlearnkit import ranks
from unlearnkit.errors import UserError, first_line
from unlearnkit.inputs import HUB_ID

LOGIN = "Run 'hf auth login', or set HF_TOKEN= to a token that may write"


def check_push(repo: str | None, save_model: bool) -> None:
    """What can be known before a model is loaded.

    Raises:
        UserError: no name of a repository, no model to send, the hub switched off, or nobody logged in.
    """
    if repo is None:
        return
    from huggingface_hub import constants, get_token

    if not HUB_ID.fullmatch(repo):
        raise UserError(f"push_to_hub={repo} is no repository's name", "Set push_to_hub=ORG/NAME")
    if not save_model:
        raise UserError("push_to_hub sends the model that save_model=false does not keep", "Leave one of them out")
    if constants.is_offline_mode():
        raise UserError(f"push_to_hub={repo}, and HF_HUB_OFFLINE switches the hub off", "Unset HF_HUB_OFFLINE")
    if not get_token():
        raise UserError(f"push_to_hub={repo} needs somebody who is logged in to the hub", LOGIN)


def push(folder: Path, repo: str | None) -> None:
    """Send `folder`/model as one commit to a repository, which is made, private, where it is not there. Rank zero does.

    Raises:
        UserError: the hub does not take it; the run is finished all the same.
    """
    if repo is None or not ranks.is_first() or not (folder / "model").is_dir():
        return
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        place = HfApi().create_repo(repo, private=True, exist_ok=True)
        HfApi().upload_folder(repo_id=repo, folder_path=folder / "model", commit_message="A model of unlearnkit")
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        why = first_line(error)
        fix = f"The run is finished; send it with 'hf upload {repo} {folder / 'model'}'. {LOGIN}"
        raise UserError(f"The hub did not take {repo}: {why}", fix) from error
    print(f"Sent to {place}", flush=True)
