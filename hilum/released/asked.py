"""What no tensor of a released file tells, and its reader may say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Asked:
    """Answers to what a layout cannot read off; None leaves the layout its stated default."""

    heads: int | None = None  # attention heads of the image encoder; width // 64
    text_heads: int | None = None  # attention heads of the text encoder; width // 64
    image_size: int | None = None  # pixels a side, where no position table tells
    patch_stride: int | None = None  # pixels between patches, where they overlap; the patch's side
    tokenizer: Path | None = None  # a tokenizer.json, vocab.txt, list of merges, or a folder with one
    text: Path | None = None  # a folder with the text encoder, where it is not in the file
    layout: str | None = None  # the layout that the user named, where the tensors fit several

    def __post_init__(self) -> None:
        for name in ("heads", "text_heads", "image_size", "patch_stride"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise ConfigError(f"must be 1 or more, and is {given}", where=f"--{name.replace('_', '-')}")

    def heads_for(self, width: int, *, where: str | Path, text: bool = False) -> int:
        """Heads that divide a width: the number given, else one for 64 features.

        Raises:
            CheckpointError: they do not divide the width.
        """
        given = self.text_heads if text else self.heads
        chosen = max(1, width // 64) if given is None else given
        if chosen < 1 or width % chosen:
            raise CheckpointError(
                f"its {'text ' if text else ''}width {width} does not divide into {chosen} heads",
                where=where,
                fix=f"Give the right number with --{'text-' if text else ''}heads",
            )
        return chosen
