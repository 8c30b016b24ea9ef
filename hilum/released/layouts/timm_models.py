"""Names of timm's models to repositories of the Hub: `hilum.load("timm:vit_small_patch16_224")`, with timm installed.

timm knows which weights an architecture has by default and where they lie; the network itself is ours. So the weights
come through the same door as every file, and nothing of timm's is run but its table of names.
"""

from __future__ import annotations

from typing import Final

from hilum.errors import CheckpointError
from hilum.optional import require

DOOR: Final = "timm:"  # before the name of an architecture


def repository_of(name: str) -> str:
    """The repository on the Hub that holds a model's pretrained weights.

    Args:
        name: `timm:` and an architecture of timm, with or without a tag ("timm:vit_small_patch16_224.augreg_in1k").

    Returns:
        org/name.

    Raises:
        MissingDependencyError: timm is not installed.
        CheckpointError: timm has no such model, or no weights for it.
    """
    timm = require("timm", extra="timm")
    plain = name.removeprefix(DOOR)
    architecture, _, tag = plain.partition(".")
    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture}*")[:3]
        raise CheckpointError(
            f"timm {timm.__version__} has no architecture of this name",
            where=name,
            fix=f"It has {', '.join(near)}" if near else "timm.list_models() lists them",
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if not tags or (tag and tag not in tags):
        raise CheckpointError(
            "timm has no pretrained weights for it" + (f" of the tag {tag}" if tags else ""),
            where=name,
            fix=f"It has {', '.join(tags)}" if tags else "Give a file of weights",
        )
    repository = timm.get_pretrained_cfg(plain).hf_hub_id
    if not repository:
        raise CheckpointError("timm names no repository that holds its weights", where=name, fix="Give their file")
    return str(repository)
