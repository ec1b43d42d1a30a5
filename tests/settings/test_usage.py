"""Help, flags and completion, none of which waits for torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.settings.usage import check_flags, flags_first, usage
from unlearnkit.settings.yaml import check_choices

UNLEARNKIT = Path(sys.executable).parent / "unlearnkit"


def test_usage_three_examples_and_every_choice():
    text = usage()
    assert text.startswith("usage: ") and text.split("groups:")[0].count("\n  python -m unlearnkit ") == 3
    for group in ("method", "model", "data", "eval", "judge", "sweep"):
        assert all(name in text for name in configuration.options(group))


@pytest.mark.parametrize("word", ["--help", "+method=skuu", "train.max_step=1", "seed=0,1"])
def test_torch_is_not_waited_for(word):
    code = (
        f"import sys; sys.argv = ['unlearnkit', {word!r}]\n"
        "from unlearnkit.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "said"), [(["--hlep"], "Did you mean '--help'"), (["--resolve"], "--resolve"), (["--cfg"], "its value")]
)
def test_flags(words, said):
    with pytest.raises(UserError, match=said):
        check_flags(words)


def test_flags_that_hydra_takes():
    check_flags(
        ["-m", "+method=ga", "--cfg", "job", "--resolve", "--config-dir=x", "-sc", "install=bash", "train.x=-1"]
    )


def test_flags_may_stand_anywhere():
    given = ["+method=ga", "--config-dir", "own", "seed=1", "-m"]
    assert flags_first(given) == (["--config-dir", "own", "-m"], ["+method=ga", "seed=1"])


@pytest.mark.skipif(not UNLEARNKIT.is_file(), reason="the console command is not installed")
def test_tab_completion_of_the_command():
    script = f'PATH={UNLEARNKIT.parent}:$PATH; eval "$(unlearnkit -sc install=bash)"; complete -p unlearnkit'
    assert "hydra_bash_completion unlearnkit" in subprocess.check_output(["bash", "-c", script], text=True)
    asked = f"PATH={UNLEARNKIT.parent}:$PATH; COMP_LINE='unlearnkit +method=sk' unlearnkit -sc query=bash"
    assert subprocess.check_output(["bash", "-c", asked], text=True).split() == [
        "+method=sku", "+method=sku_as_published", "+method=sku_mended",
        "+method=sku_no_divergence", "+method=sku_no_divergence_as_published",
        "+method=sku_no_random", "+method=sku_no_random_as_published",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["npo.yaml", "npo.yml", "./npo", "../method/npo", "/method/npo", "a//npo"])
def test_an_option_by_its_file_is_refused(name):
    with pytest.raises(UserError, match="is no option's name, but a file's") as caught:
        check_choices({"data": "mischief", "method": name})
    assert caught.value.fix == "Write method=npo, which is the same option"


def test_an_option_by_its_name():
    check_choices({"model": "qwen2.5-1.5b-instruct", "stage@stages.locate": None, "data": "mine/rows"})
