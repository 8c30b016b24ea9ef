"""Models that timm itself makes, as sources: `hilum.load("timm:vit_small_patch16_224")` where timm is installed.

Whatever timm knows by name is asked of timm, weights and configuration together; the layouts then read it as they read
a file, so that a model of timm which no layout knows is named and not guessed at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hilum.errors import CheckpointError
from hilum.optional import require
from hilum.released.source import Source

DOOR: Final = "timm:"  # before the name of an architecture


def create(name: str) -> Source:
    """An architecture of timm with its pretrained weights, as a source: what `hilum.load("timm:NAME")` opens.

    Args:
        name: `timm:` and a name that timm knows, with or without a tag ("timm:vit_small_patch16_224.augreg_in1k").

    Raises:
        MissingDependencyError: timm is not installed.
        CheckpointError: timm has no such architecture or no weights for it, or they can neither be found nor fetched.
    """
    timm = require("timm", extra="timm")
    plain = name.removeprefix(DOOR)
    if plain.split(".")[0] not in timm.list_models():
        near = timm.list_models(f"*{plain.split('.')[0]}*")[:3]
        raise CheckpointError(
            f"timm {timm.__version__} has no architecture of this name",
            where=name,
            fix=f"Known are {', '.join(near)}" if near else "List them with timm.list_models()",
        )
    try:
        model = timm.create_model(plain, pretrained=True)
    except Exception as error:  # timm and the network behind it raise what they like; the user needs one sentence
        raise CheckpointError(
            f"has no pretrained weights that can be had ({type(error).__name__}: {str(error).splitlines()[0][:200]})",
            where=name,
            fix="Fetch them once with a network, or give a file of weights",
        ) from error
    return source_of(model, name)


def source_of(model: Any, name: str) -> Source:
    """A model of timm as a source: its state dict, and what its configuration tells."""
    settings = dict(model.pretrained_cfg)
    blocks = getattr(model, "blocks", None)
    heads = getattr(getattr(blocks[0], "attn", None), "num_heads", None) if blocks is not None and len(blocks) else None
    config = {
        "architecture": settings.get("architecture", name.removeprefix(DOOR)),
        "global_pool": getattr(model, "global_pool", ""),
        "pretrained_cfg": settings,
        "model_args": {"num_heads": heads} if isinstance(heads, int) else {},
    }
    return Source(Path(name), {key: value.detach() for key, value in model.state_dict().items()}, config)
