"""A run inside somebody else's process: what is global there is as it was when the run has ended."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.version import VersionBase

from unlearnkit import configuration
from unlearnkit.errors import UserError


@contextlib.contextmanager
def untouched(words: Sequence[str]) -> Iterator[None]:
    """The process of a command of its own, as far as a run reads it, for the length of a `with`.

    Random states begin as in a new process. Environment, command line, warnings' filters, random states, loggers'
    levels and all that Hydra and OmegaConf hold come back after it.

    Args:
        words: of the command line.
    """
    with _hydra(), _random(), _environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)  # of libraries about themselves
        arguments, sys.argv = sys.argv, ["unlearnkit", *words]
        level = logging.getLogger().level
        try:
            configuration.register_resolvers()
            yield
        finally:
            sys.argv = arguments
            logging.getLogger().setLevel(level)


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """What a user can mend is a `UserError`, whichever library says it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (user_error := configuration.explain(error)) is None:
            raise
        raise user_error from error


@contextlib.contextmanager
def _hydra() -> Iterator[None]:
    """Hydra's singletons, and OmegaConf's resolvers, the user's own of the same names among them."""
    ours, version = GlobalHydra.instance(), VersionBase.instance()
    state = Singleton.get_state()  # copies, which hold the resolvers too
    hydra, base, config = ours.hydra, version.version_base, HydraConfig.instance().cfg
    ours.clear()
    try:
        yield
    finally:
        Singleton.set_state(state)
        ours.hydra, version.version_base = hydra, base
        GlobalHydra.set_instance(ours)
        VersionBase.set_instance(version)
        HydraConfig.instance().cfg = config


@contextlib.contextmanager
def _random() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(torch.Generator().initial_seed())  # what a new process begins with
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    variables = dict(os.environ)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        yield
    finally:
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        for name, value in variables.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
