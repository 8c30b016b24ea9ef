"""Finds in source code whatever would run a stranger's file: pickles under any name, and loaders that hide one.

Names are followed through imports and their aliases (`import torch as t; t.load(...)`), so that a search by text is not
enough to pass it, nor a rename to evade it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

# modules whose only use is to run what a file says
MODULES = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch.package")
LOADERS = (
    *("torch.load", "torch.jit.load", "torch.hub", "torch.serialization", "torch.storage._load_from_bytes"),
    *("numpy.lib.npyio", "pandas.read_pickle", "pandas.io.pickle"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.CLoader"),
)


def unsafe_loads(tree: ast.Module) -> list[str]:
    """What a module would run files with, as "line: name"."""
    aliases = dict(_aliases(tree))
    found = []
    for node in ast.walk(tree):
        names = [name for name in _names(node, aliases) if _is_unsafe(name)]
        found += [f"{node.lineno}: {name}" for name in names]  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            found += [f"{node.lineno}: {word}" for word in _keywords(node)]
            if _hidden(node, aliases):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def _is_unsafe(name: str) -> bool:
    return any(name == wrong or name.startswith(f"{wrong}.") for wrong in (*MODULES, *LOADERS))


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What each imported name of a module stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _names(node: ast.AST, aliases: Mapping[str, str]) -> Iterator[str]:
    """The dotted names that a node imports or uses."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        parts = ast.unparse(node).split(".")
        if parts[0] in aliases:
            yield ".".join((aliases[parts[0]], *parts[1:]))


def _keywords(node: ast.Call) -> Iterator[str]:
    """Options that open a guarded door."""
    for word in node.keywords:
        value = ast.unparse(word.value)
        if word.arg in ("allow_pickle", "trust_remote_code") and value != "False":
            yield f"{word.arg}={value}"
        if word.arg == "weights_only" and value != "True":
            yield f"{word.arg}={value}"


def _hidden(node: ast.Call, aliases: Mapping[str, str]) -> bool:
    """`getattr(torch, "load")`, `import_module("pickle")` and `__import__("pickle")`."""
    given = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    called = ast.unparse(node.func).split(".")[-1]
    if called in ("import_module", "__import__"):
        return any(str(value).split(".")[0] in MODULES for value in given)
    if called == "getattr" and isinstance(node.args[0], ast.Name):
        owner = aliases.get(node.args[0].id, "")
        return any(f"{owner}.{value}" in LOADERS for value in given)
    return False
