"""What transformers, PEFT and the hub raise of a model that cannot be had, in two lines."""

from __future__ import annotations

import contextlib
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from safetensors import SafetensorError

from unlearnkit.errors import UserError, first_line

ANEW = "Copy or fetch it again; the file's size should be that of the original"


@contextlib.contextmanager
def told(name: str, source: str) -> Iterator[None]:
    """Whatever a library raises of a model's files becomes a `UserError`.

    Args:
        name: of the model.
        source: the folder or hub id that is being read.
    """
    try:
        yield
    except UserError:
        raise
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise refusal(name, source, error) from error


def refusal(name: str, source: str, error: Exception) -> UserError:
    """The two lines."""
    chain = list(_chain(error))
    text = "\n".join(str(each) for each in chain)
    local, called = Path(source).is_dir(), f"Model '{name}' ('{source}')"
    if any(isinstance(each, GatedRepoError) for each in chain) or "trying to access a gated repo" in text:
        return UserError(
            f"'{source}' is gated: its authors ask every user to accept their terms",
            f"Accept them at https://huggingface.co/{source}, then log in with 'hf auth login' (or set HF_TOKEN)",
        )
    if any(isinstance(each, RepositoryNotFoundError) for each in chain) or "is not a valid model identifier" in text:
        return UserError(
            f"The hub has no model '{source}', or it is private and you are not logged in",
            "Check the spelling at https://huggingface.co/models, or log in with 'hf auth login'",
        )
    if any(isinstance(each, HFValidationError) for each in chain) and not local:
        return UserError(f"'{source}' is no hub id", "Give model.hub=ORG/NAME, or a folder with model.path=FOLDER")
    if any(isinstance(each, SafetensorError) for each in chain):
        return UserError(f"The weights of {called} are damaged or cut off: {first_line(error)}", ANEW)
    if any(isinstance(each, pickle.UnpicklingError) for each in chain) or "Weights only load failed" in text:
        return UserError(
            f"The .bin weights of {called} are damaged, or hold more than tensors: pickled objects are never run here",
            "Take the model's *.safetensors",
        )
    if "custom code" in text or "trust_remote_code" in text:
        return UserError(
            f"{called} wants to run code of its own, which is never done here",
            "Take a version of it that transformers knows by itself (often named ...-hf)",
        )
    if match := re.search(r"model type `([^`]+)`", text):
        return UserError(
            f"{called} is of the architecture '{match[1]}', which this transformers does not know",
            "A newer one may: pip install -U transformers",
        )
    if match := re.search(r"Unrecognized configuration class .*?(\w+)Config'>", text):
        return UserError(
            f"{called} is a {match[1]}, which is no causal language model that answers in text",
            "Take a decoder that writes text: Llama, Qwen, Gemma, OLMo, GPT-2, ...",
        )
    if "Unrecognized model in" in text:
        return UserError(f"config.json of {called} names no model_type", "Restore config.json from the original")
    if isinstance(error, ImportError) or "quantiz" in text.lower() or "requires accelerate" in text:
        need = first_line(error)
        return UserError(
            f"The weights of {called} are quantised, or need another library: {need}",
            "Install what it names (most need a GPU), or take the model's unquantised weights",
        )
    if "backend tokenizer" in text or "tokenizer" in _place(error):
        return UserError(
            f"The tokenizer of {called} is missing or cannot be read: {first_line(error)}",
            "Copy tokenizer.json and tokenizer_config.json from the original beside the weights",
        )
    if match := re.search(r"size mismatch for (\S+?):", text):
        return UserError(
            f"The adapter in '{source}' does not fit its base: '{match[1]}' has another shape",
            "Set base_model_name_or_path in its adapter_config.json to the model that it was trained on",
        )
    if "ignore_mismatched_sizes" in text:
        return UserError(
            f"The weights of {called} have other shapes than its config.json says",
            "Restore config.json from the original, or give the weights that belong to it",
        )
    if isinstance(error, json.JSONDecodeError) or "not a valid JSON" in text:
        return UserError(f"A JSON file of {called} is damaged: {first_line(error)}", ANEW)
    if local:
        return UserError(
            f"{called} cannot be loaded: {type(error).__name__}: {first_line(error)}",
            "Restore the JSON files beside the weights from the original: what they say is not what its library takes",
        )
    return UserError(
        f"No weights for model '{name}' at '{source}': {first_line(error)}",
        f"Fetch them with 'hf download {source}', or point to a local copy with model.path=FOLDER",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    """The modules that an error came through."""
    names, trace = [], error.__traceback__
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__")))
        trace = trace.tb_next
    return " ".join(names)
