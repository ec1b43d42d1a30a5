"""What every test shares: a quiet environment, tiny models and a handful of examples."""

import atexit
import gc
import os
import shutil
import signal
import tempfile

# Not the user's cache: what earlier runs left there must not decide a test. The processes of pytest-xdist share one.
os.environ["UNLEARNKIT_CACHE"] = (
    os.environ["UNLEARNKIT_CACHE"]
    if "PYTEST_XDIST_WORKER" in os.environ
    else tempfile.mkdtemp(prefix="unlearnkit-tests-")
)
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several threads add a shared position's gradients in any order
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["WANDB_MODE"] = "offline"

import pytest

from unlearnkit.data.examples import Example
from unlearnkit.models import load_source, tiny
from unlearnkit.models.templates import Template

if "PYTEST_XDIST_WORKER" not in os.environ:
    atexit.register(shutil.rmtree, os.environ["UNLEARNKIT_CACHE"], ignore_errors=True)

# A shell's background job ignores SIGINT, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Weights and tokenizer of a tiny llama; read only."""
    return tiny.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def lora_model(tiny_folder):
    return load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template())


@pytest.fixture
def full_model(tiny_folder):
    return load_source("tiny", str(tiny_folder), "float32", None, Template())


@pytest.fixture(params=["lora", "full"])
def tiny_model(request):
    """A fresh tiny model, once with LoRA and once trained whole."""
    return request.getfixturevalue(f"{request.param}_model")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install -e '.[dev]')")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def browse(browser):
    """browse(path, fragment, **context) -> the page, without a network; what it complains of or asks for fails."""
    contexts, wrong = [], []

    def open_page(path, fragment="", **context):
        contexts.append(browser.new_context(**{"offline": True, **context}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.type} {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url[:80]}"))
        page.on("request", lambda request: request.url[:5] in ("file:", "blob:", "data:") or wrong.append(request.url))
        page.goto(f"file://{path}#{fragment}" if fragment else f"file://{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def examples():
    """Stream -> examples of unequal lengths."""
    return {
        "forget": [Example(f"f{n}", f"How to {'x' * n}?", "Take " + "ab" * (n + 1)) for n in range(6)],
        "retain": [Example(f"r{n}", f"What is {n}?", "It is " + "c" * (2 * n + 1)) for n in range(5)],
    }


# Files that take a minute or more come first, so that no process is left alone with one at the end.
LONG = (
    "test_cell",
    "test_run",
    "test_resume",
    "launch/test_slurm",
    "test_main",
    "stages/test_deepspeed",
    "ranks/test_torchrun",
)


def pytest_ignore_collect(collection_path, config):
    """With `-m gpu` look at files with such tests alone: the others import what a bare machine with a GPU lacks."""
    if config.getoption("markexpr") != "gpu":
        return None
    files = [collection_path] if collection_path.is_file() else collection_path.rglob("test_*.py")
    return None if any("mark.gpu" in file.read_text() for file in files) else True


def pytest_collection_finish():
    """No collection looks again through the millions of objects that the libraries made as they were imported."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    def place(item):
        return next((n for n, name in enumerate(LONG) if item.nodeid.startswith(f"tests/{name}.py")), len(LONG))

    items.sort(key=place)  # the rest keeps its order
