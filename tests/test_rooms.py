"""The rooms: which module imports which, read from the source, and CONTRIBUTING's map of them."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
FLAT = 14  # modules beside the folders, at most
ROOM = re.compile(r"^- `(\w+/?)`: \S", re.MULTILINE)


def modules(package):
    """Dotted name -> file, of a package's folder."""
    files = package.rglob("*.py")
    dotted = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in files}
    return {name.removesuffix(".__init__"): path for name, path in dotted.items()}


def imported(path, known):
    """What a file imports: at its top, in functions, for types alone and by `import_module`; of `known` by module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports from `.`"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in whole}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            name = node.args[0]
            assert isinstance(name, ast.Constant), f"{path}:{node.lineno} imports what no reader can know"
            found.add(name.value)
    return found


def graph(package):
    """Module -> what it imports."""
    known = modules(package)
    return {name: imported(path, known) for name, path in known.items()}


def circle(imports):
    """The modules of a circle in their order, empty where there is none."""
    try:
        graphlib.TopologicalSorter({name: found & imports.keys() for name, found in imports.items()}).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def room(module):
    """`runs/` of unlearnkit.runs.folder, `run` of unlearnkit.run."""
    parts = module.split(".")
    if len(parts) == 1:
        return "__init__"
    return f"{parts[1]}/" if (TOP / "unlearnkit" / parts[1]).is_dir() else parts[1]


IMPORTS = graph(TOP / "unlearnkit")
IMPORTS["unlearnkit"] = set()  # what `__getattr__` imports when it is asked for is no import of `import unlearnkit`
MAP = ROOM.findall((TOP / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The rooms")[-1])


def reading(prefix, room_or_module):
    """Modules of a room that import what begins with a prefix."""
    places = [name for name in IMPORTS if f"{name}.".startswith(f"unlearnkit.{room_or_module}.")]
    assert places, room_or_module
    return [name for name in places if any(f"{found}.".startswith(f"{prefix}.") for found in IMPORTS[name])]


def test_no_module_imports_itself_by_way_of_others():
    assert circle(IMPORTS) == []


def test_a_room_imports_only_rooms_above_it_on_the_map():
    place = {name: number for number, name in enumerate(MAP)}
    upwards = [
        f"{name} imports {found}"
        for name, every in IMPORTS.items()
        for found in every
        if found in IMPORTS and place[room(found)] > place[room(name)]
    ]
    assert upwards == []


def test_the_map_has_every_room_once():
    assert sorted(MAP) == sorted({room(name) for name in IMPORTS})


def test_few_modules_stand_beside_the_folders():
    flat = [path.name for path in (TOP / "unlearnkit").glob("*.py")]
    assert len(flat) <= FLAT, flat


def test_data_know_no_model_and_tracking_knows_no_table():
    assert reading("unlearnkit.models", "data") == []
    assert reading("unlearnkit.tables", "runs.tracking") == []
    assert reading("unlearnkit.tables", "dashboard")  # it is found where there is one


@pytest.mark.parametrize("name", IMPORTS)
def test_hydras_own_insides_are_left_alone(name):
    assert not [found for found in IMPORTS[name] if found.startswith("hydra._internal")]


def test_an_import_is_found_wherever_it_stands(tmp_path):
    package = tmp_path / "own"
    (package / "low").mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '1'\n")
    (package / "low" / "__init__.py").write_text("from own.low.one import name\n")
    (package / "low" / "one.py").write_text("def f():\n    import own.high as high\n\n\nname = 1\n")
    (package / "high.py").write_text(
        "import importlib\nfrom typing import TYPE_CHECKING\n\nfrom own import __version__, low\n\n"
        "if TYPE_CHECKING:\n    from own.low.one import name\n\nimportlib.import_module('own.last')\n"
    )
    (package / "last.py").write_text("import torch.nn\n")
    found = graph(package)
    assert found == {
        "own": set(),
        "own.low": {"own.low.one"},
        "own.low.one": {"own.high"},
        "own.high": {"importlib", "typing", "own", "own.low", "own.low.one", "own.last"},
        "own.last": {"torch.nn"},
    }
    assert set(circle(found)) == {"own.high", "own.low.one"}
    (package / "low" / "one.py").write_text("name = 1\n")
    assert circle(graph(package)) == []
    (package / "last.py").write_text("from importlib import import_module\n\nimport_module('own.' + 'high')\n")
    with pytest.raises(AssertionError, match="no reader can know"):
        graph(package)
