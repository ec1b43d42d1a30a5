"""Hydra's and OmegaConf's errors in our two lines."""

from __future__ import annotations

import re
import shlex
import sys

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.settings.tree import keys_of, meant
from unlearnkit.settings.yaml import ADDED, FOLDER, groups, options


def of_hydra(error: BaseException, primary: str = "config") -> UserError:
    """The two lines for an error of a composition.

    Args:
        primary: the name of the command's own config.
    """
    cause = error.__cause__ or error
    text = f"{error}\n{cause}"
    if isinstance(error, OverrideParseException):
        return _unparsed(error.override)
    if found := re.search(r"Ambiguous value for argument '([^=]+)=(.*?)'\n", text):
        key, value = found.groups()
        return UserError(
            f"'{key}={value}' is several values, and this is one run",
            f"Add -m to run each of them, or write '{key}=[{value}]' for a list, '{key}=\"{value}\"' for text",
        )
    if found := re.search(r"(?:Could not find|Could not load) '([\w/.-]+)/([\w.-]+)'", text):
        group, name = found.groups()
        if valid := options(group):
            return UserError(
                f"Unknown {group} '{name}'.{nearest(name, valid)} Valid: {', '.join(valid)}",
                f"Choose one of these with {'+' if group in ADDED else ''}{group}=",
            )
    if found := re.search(r"Multiple values for (\w+)", text):
        group = found.group(1)
        names = [name for word in sys.argv[1:] for key, _, name in [word.lstrip("+").partition("=")] if key == group]
        both = f"Write both in one: '+attack=[{','.join(names)}]'" if group == "attack" else "Leave all but one out"
        return UserError(f"{group} is chosen several times: {', '.join(names)}", both)
    if found := re.search(r"Could not override '(\w+)'", text):
        return _not_there(found.group(1), primary)
    if found := re.search(r"Key '([^']+)' is not in struct", text):
        full = re.search(r"full_key: (\S+)", text)
        return _unknown(full.group(1) if full else found.group(1), found.group(1), cause, primary)
    if found := re.search(r"Could not override '([^'@]+)", text):
        return _not_there(found.group(1).replace("/", "."), primary)
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return _lacking(found.group(1), re.search(r"full_key: (\S+)", text))
    if isinstance(error, InterpolationResolutionError) and (inner := error.__cause__) is not None:
        if isinstance(inner, UserError):
            return inner
    if found := re.search(r"raised while resolving interpolation: (.*)\n(?:.*\n)*?\s*full_key: (\S+)", text):
        why, key = found.groups()
        fix = "Check the values that its ${...} names; 'python -m unlearnkit --cfg job' prints it"
        return UserError(f"{key} cannot be made of what it reads: {why}", fix)
    if wrong := _not_a_choice():
        return wrong
    line = first_line(error)
    return UserError(line, "'python -m unlearnkit --help' lists the groups, '--cfg job' every key")


def _not_a_choice() -> UserError | None:
    """A word of the command line that gives a config group something other than names."""
    for word in sys.argv[1:]:
        group, _, name = word.lstrip("+").partition("=")
        if group in groups() and (name in ("null", "true", "false") or re.fullmatch(r"[-\d.e]+", name)):
            valid = options(group)
            plus = "+" if group in ADDED else ""
            return UserError(
                f"'{word}' chooses no {group}. Valid: {', '.join(valid)}",
                f"Leave it out, or write {plus}{group}= with one of these",
            )
    return None


def _unparsed(override: str) -> UserError:
    """A word of the command line that Hydra's grammar does not take: its value has to be quoted once more."""
    key, equals, value = override.partition("=")
    if not equals:
        valid = "KEY=VALUE, +KEY=VALUE or ~KEY"
        return UserError(f"'{override}' is no setting", f"Write {valid}; 'python -m unlearnkit --help' shows examples")
    if not _parses(f"{key}=1"):
        whole = re.sub(r"\[[^]]*\]?.*", "", key)
        fix = (
            f"A list is set as a whole: '{whole}=[A,B]'" if whole != key else "Write KEY=VALUE, names with dots between"
        )
        return UserError(f"'{key}' is no key: names hold letters, digits, _ and -", fix)
    several = value[:1] in ("[", "{")
    written = _quoted_items(value) if several else _quoted(value)
    if not _parses(f"{key}={written}"):
        fix = f"Close its brackets, and quote what is no word: '{key}=[\"a b\",c]' or '{key}={{name:\"a b\"}}'"
        return UserError(f"The value in {override!r} is no list or mapping", fix)
    return UserError(
        f"The value in {override!r} has characters that need quotes",
        f"Quote it twice: {shlex.quote(f'{key}={written}')}",
    )


def _quoted(text: str) -> str:
    inner = text.strip("\"'").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _quoted_items(value: str) -> str:
    """A list or mapping of texts with quotes where they are needed, and names without; what is neither as it is."""
    if re.fullmatch(r"\{[^][{}]*\}", value):
        return re.sub(r"""["'](\w+)["']\s*:""", r"\1:", value)
    if not re.fullmatch(r"\[[^][{}]*\]", value):
        return value
    items = (item.strip() for item in value[1:-1].split(","))
    return f"[{','.join(item if _parses(f'x={item}') else _quoted(item) for item in items)}]"


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:  # the parser's own is one, and so is what it lets through
        return False
    return True


def _not_there(key: str, primary: str) -> UserError:
    word = key.partition(".")[0]
    if key in groups():
        return UserError(f"'{key}=' needs a plus: no {key} is chosen by default", f"Write +{key}=NAME instead")
    lines = (FOLDER / f"{primary}.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line.split(":")[0] for line in lines if line[:1].islower()]
    valid = [*groups(), *(name for name in keys if name not in ("defaults", "hydra", *groups()))]
    return UserError(
        f"Unknown config group or key '{key}'.{_meant(key, primary) or nearest(word, valid)}",
        f"Valid: {', '.join(valid)}",
    )


def _unknown(key: str, word: str, cause: BaseException, primary: str) -> UserError:
    parent = getattr(cause, "parent_node", None)
    siblings = [str(name) for name in parent] if parent is not None and hasattr(parent, "keys") else []
    group = {"eval": "eval", "attacks": "attack"}.get(key.partition(".")[0])
    if group and word in options(group):
        choice = f"'+attack=[{word}]'" if group == "attack" else f"{group}={word}"
        return UserError(
            f"Unknown key '{key}': the {group} '{word}' is not chosen here",
            f"Choose it too, for a sweep's cells as well: {choice}",
        )
    guess = nearest(word, siblings) or _meant(key, primary)
    if key == f"train.arguments.{word}" and not guess:
        return UserError(
            f"Unknown key '{key}'. Valid here: {', '.join(siblings)}",
            f"Write +{key}= if it is one of transformers.TrainingArguments, whose others need the plus",
        )
    return UserError(
        f"Unknown key '{key}'.{guess}" + (f" Valid here: {', '.join(siblings)}" if siblings else ""),
        "'python -m unlearnkit --cfg job' prints every key of the run; a key that nothing reads is refused with + too",
    )


def _lacking(name: str, reader: re.Match[str] | None) -> UserError:
    by = f", which {reader.group(1)} reads" if reader else ""
    group = name.partition(".")[0]
    if valid := options(group):
        return UserError(f"There is no '{name}'{by}", f"Choose one with {group}=: {', '.join(valid)}")
    return UserError(f"There is no '{name}'{by}", f"Set it with +{name}=VALUE")


def _meant(key: str, primary: str) -> str:
    """` Did you mean 'x'?` out of the whole tree, as the command line's own choices of groups compose it."""
    words = [word for word in sys.argv[1:] if _is_choice(word)]
    for chosen in (words, []):
        try:
            near = meant(key, keys_of(_tree(primary, chosen)))
            return f" Did you mean '{near}'?" if near else ""
        except Exception:  # one of the choices is wrong too: the next error will tell of it
            continue
    return ""


def _is_choice(word: str) -> bool:
    group, _, name = word.lstrip("+").partition("=")
    return bool(name) and name in options(group) and group != "sweep"


def _tree(primary: str, words: list[str]) -> object:
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(FOLDER), version_base="1.3"):
            return OmegaConf.to_container(compose(primary, overrides=words), resolve=False)
    finally:
        GlobalHydra.instance().hydra = before  # another instance than above: Hydra puts a copy there
