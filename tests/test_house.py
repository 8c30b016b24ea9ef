"""The rules of the house, as tests: directions of import, sizes, names, and a light front door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hilum
from hilum.cli import VERBS
from tests.oracles.unsafe_loading import unsafe_loads

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "hilum").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}

# Each room may import from its own row and the rows above it.
ROOMS = [
    {"schema", "errors", "lookup", "optional", "config"},
    {"run_folder", "progress", "signals"},
    {"metrics"},
    {"dicom", "manifest", "ingest", "auditing", "datasets", "labels"},
    {"films", "transforms", "reports", "loader"},
    {"models"},
    {"losses"},
    {"methods", "heads", "baselines"},
    {"optim", "distributed", "checkpoint", "model_card", "encoder", "released", "trainer"},
    {"results"},
    {"evaluation"},
    {"pretraining", "inspection", "checkup", "study", "side_by_side", "exporting", "benchmarking", "tables"},
    {"demonstration"},
    {"commands"},
    {"cli"},
]
FLOOR = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "hilum").parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hilum":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hilum.")}
    return found


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py" or p.parent.name != "hilum"], ids=str)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{room} has no place in the order of rooms"
    upward = {name for name in imports(TREES[path]) if name in FLOOR and FLOOR[name] > FLOOR[room]}
    assert not upward, f"{room} imports from above: {upward}"


def test_metrics_know_neither_torch_nor_the_house() -> None:
    for path in (ROOT / "hilum/metrics").rglob("*.py"):
        names = {
            alias.name for node in ast.walk(TREES[path]) if isinstance(node, ast.Import) for alias in node.names
        } | {node.module or "" for node in ast.walk(TREES[path]) if isinstance(node, ast.ImportFrom)}
        assert not any(name.split(".")[0] == "torch" for name in names), path
        assert imports(TREES[path]) <= {"metrics", "schema"}, path


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_and_functions_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    for node in ast.walk(TREES[path]):
        command = "commands" in path.parts and isinstance(node, ast.FunctionDef) and node.name == path.stem
        if isinstance(node, ast.FunctionDef) and not command:  # a command's options and their help are one function
            assert (node.end_lineno or 0) - node.lineno <= 80, node.name
    if "commands" in path.parts and path.stem not in ("__init__", "arguments"):
        assert len([node for node in TREES[path].body if isinstance(node, ast.FunctionDef)]) == 1


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_names_and_docstrings(path: Path) -> None:
    assert path.stem not in ("utils", "misc", "common", "helpers", "core", "manager")
    assert len(ast.get_docstring(TREES[path]) or "") > 10
    assert "import *" not in path.read_text()


def test_methods_cite_their_paper_and_say_where_they_depart() -> None:
    for path in (ROOT / "hilum/methods").glob("*.py"):
        if path.stem in ("__init__", "method", "clock", "masked_image"):
            continue
        text = ast.get_docstring(TREES[path]) or ""
        assert re.search(r"https://arxiv\.org", text), path
        assert "Departures" in text, path


def test_nothing_unsafe_is_loaded_outside_the_one_door() -> None:
    outside = [path for room in ("recipes", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    trees = TREES | {path: ast.parse(path.read_text()) for path in outside}
    assert not {path: found for path, tree in trees.items() if (found := unsafe_loads(tree))}
    door = {path.name for path, tree in TREES.items() if "pickletools" in path.read_text()}
    assert door == {"machine.py"}  # even the door decodes opcodes only; it imports no unpickler


def test_no_machine_paths_and_no_loose_ends() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"/(home|root|work|tmp)/", text), path
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError", text), path


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "{'torch', 'pandas', 'numpy', 'numba', 'jsonargparse', 'sklearn', 'matplotlib'}"


def test_the_front_door_is_light() -> None:
    assert run_python(f"import sys, hilum; print({HEAVY} & set(sys.modules))").strip() == "set()"
    code = f"import sys; from hilum.cli import main; main(['--help']); print({HEAVY} & set(sys.modules))"
    assert run_python(code).strip().endswith("set()")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself_without_torch(verb: str) -> None:
    code = (
        "import sys\nfrom hilum.cli import main\n"
        f"try: main([{verb!r}, '--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "print('TORCH' if 'torch' in sys.modules else 'LIGHT')"
    )
    said = run_python(code)
    assert said.strip().endswith("LIGHT")
    assert f"usage: hilum {verb}" in said


def test_the_public_surface_fits_a_page() -> None:
    assert {verb.replace("-", "_") for verb in VERBS} <= set(hilum.__all__)
    assert hilum.__all__ == [
        "Encoder",
        "FeatureStore",
        "Manifest",
        "UserError",
        "adapt",
        "audit",
        "benchmark",
        "compare",
        "convert",
        "demo",
        "doctor",
        "embed",
        "evaluate",
        "export",
        "ground",
        "info",
        "load",
        "predict",
        "prepare",
        "pretrain",
        "restore",
        "retrieve",
        "zero_shot",
    ]
    for name in hilum.__all__:
        assert getattr(hilum, name).__doc__, name
    with pytest.raises(AttributeError, match="public names"):
        hilum.nonsense  # noqa: B018
