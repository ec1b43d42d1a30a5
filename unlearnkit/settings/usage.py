"""What `--help` prints, and flags that are none of Hydra's."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnkit.errors import UserError, nearest
from unlearnkit.settings.yaml import ADDED, groups, options

USAGE = """usage: python -m unlearnkit [+method=NAME] [GROUP=NAME ...] [KEY=VALUE ...] [-m]

Unlearn something from a language model, and measure what was lost and what is left. A run's numbers, answers, model
and report go to outputs/.

examples:
  python -m unlearnkit +method=sku                                 the embedded model and data, in minutes
  python -m unlearnkit +method=npo model.path=FOLDER data=authors  a model of your own
  python -m unlearnkit -m +method=ga,npo,sku seed=0,1,2            every combination, a run each

groups:"""
MORE = """
keys: '--cfg job' prints every key of the run with its value; set one with KEY=VALUE (train.max_steps=20). A value with
spaces, braces, commas or quotes is quoted twice: 'model.template.text="Q: {prompt}"'.

  -m, --multirun         run every combination of values with commas
  --cfg job              print the run's config, and run nothing
  --config-dir FOLDER    further YAML of your own: FOLDER/method/mine.yaml is +method=mine
  -sc install=bash       tab completion: eval "$(unlearnkit -sc install=bash)"
  --version              of unlearnkit
  --hydra-help           what else Hydra takes

Set HYDRA_FULL_ERROR=1 to see an error's traceback."""
LEFT_OUT = ("paper", "stage")  # what others choose
FLAGS = {
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r"),
    *("--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--info", "-i"),
}
TAKE_A_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}


def usage(width: int = 100) -> str:
    """The text of `--help`: usage, three examples, the groups with their choices."""
    lines = [USAGE]
    for group in groups():
        if group in LEFT_OUT or not options(group) or group == "domain":
            continue
        plus = "+" if group in ADDED else " "
        line = f"  {plus}{group}=".ljust(14)
        for name in options(group):
            if len(line) + len(name) > width:
                lines.append(line.rstrip())
                line = " " * 14
            line += f"{name}, "
        lines.append(line.rstrip(", "))
    return "\n".join([*lines, MORE])


def flags_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and settings, for argparse refuses settings on both sides of a flag."""
    if {"--info", "-i"} & set(arguments):  # its value may be left out
        return list(arguments), []
    flags, settings, takes = list[str](), list[str](), False
    for argument in arguments:
        (flags if takes or argument.startswith("-") else settings).append(argument)
        takes = not takes and argument in TAKE_A_VALUE
    return flags, settings


def check_flags(arguments: Sequence[str]) -> None:
    """Refuse what Hydra's parser would answer with its own usage.

    Raises:
        UserError: an unknown flag, or one without its value.
    """
    for place, argument in enumerate(arguments):
        flag = argument.partition("=")[0]
        if not argument.startswith("-") or argument == "-":
            continue
        if flag not in FLAGS:
            near = nearest(flag, [known for known in FLAGS if known.startswith("--")])
            raise UserError(f"Unknown flag '{flag}'.{near}", "'python -m unlearnkit --help' shows what there is")
        if flag in TAKE_A_VALUE and "=" not in argument and place + 1 == len(arguments):
            raise UserError(f"'{flag}' lacks its value", "'python -m unlearnkit --help' shows what there is")
    if "--resolve" in arguments and not {"--cfg", "-c"} & {word.partition("=")[0] for word in arguments}:
        raise UserError(
            "--resolve says how to print a config, and nothing is printed", "Add --cfg job, or leave it out"
        )
