"""Hilum: one toolkit for chest X-ray foundation models.

`import hilum` is light: every public name is loaded on first use, so neither torch nor a server is imported before it
is needed. The verbs of the command line are functions of the same names and arguments.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PUBLIC = {
    # verbs, in the order of work
    "doctor": "hilum.commands.doctor:doctor",
    "prepare": "hilum.commands.prepare:prepare",
    "audit": "hilum.commands.audit:audit",
    "pretrain": "hilum.commands.pretrain:pretrain",
    "convert": "hilum.commands.convert:convert",
    "embed": "hilum.commands.embed:embed",
    "adapt": "hilum.commands.adapt:adapt",
    "evaluate": "hilum.commands.evaluate:evaluate",
    "compare": "hilum.commands.compare:compare",
    "benchmark": "hilum.commands.benchmark:benchmark",
    "predict": "hilum.commands.predict:predict",
    "zero_shot": "hilum.commands.zero_shot:zero_shot",
    "retrieve": "hilum.commands.retrieve:retrieve",
    "ground": "hilum.commands.ground:ground",
    "restore": "hilum.commands.restore:restore",
    "export": "hilum.commands.export:export",
    "info": "hilum.commands.info:info",
    "demo": "hilum.commands.demo:demo",
    # things
    "load": "hilum.encoder:load",
    "Encoder": "hilum.encoder:Encoder",
    "FeatureStore": "hilum.evaluation.feature_store:FeatureStore",
    "Manifest": "hilum.manifest:Manifest",
    "UserError": "hilum.errors:UserError",
}
__all__ = sorted(_PUBLIC)

try:
    __version__ = version("hilum")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hilum' has no attribute {name!r}; public names: {', '.join(__all__)}")
    module, attribute = _PUBLIC[name].split(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
