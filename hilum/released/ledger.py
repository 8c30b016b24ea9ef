"""The books of a released file: every tensor is taken, or dropped with a reason; none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError

# parts of an encoder, whatever it calls them; one of these left over means that the key map is wrong
BLOCKS: Final = r"(.*\.)?(blocks|layers?|resblocks|stages|layer[1-4]|denseblock\d+|features)\.\d+\."
Dropped = tuple[tuple[str, str], ...]  # (name in the file, why it is not used)


class Ledger:
    """Tensors of a file, crossed off as they find their place.

    Args:
        tensors: under the names of the file.
        where: the file, for messages.
    """

    def __init__(self, tensors: Mapping[str, Tensor], where: str | Path) -> None:
        self.tensors, self.where = tensors, where
        self._taken: set[str] = set()
        self._dropped: dict[str, str] = {}

    @property
    def left(self) -> list[str]:
        """Names neither taken nor dropped, in the order of the file."""
        return [key for key in self.tensors if key not in self._taken and key not in self._dropped]

    def has(self, key: str) -> bool:
        """Whether the file has a tensor of this name."""
        return key in self.tensors

    def take(self, key: str) -> Tensor:
        """A tensor that the encoder needs.

        Raises:
            CheckpointError: the file has none of that name.
        """
        if key not in self.tensors:
            raise CheckpointError(
                f"has no tensor {key}", where=self.where, fix="Give the whole file as it was released"
            )
        self._taken.add(key)
        return self.tensors[key]

    def take_under(self, prefix: str) -> dict[str, Tensor]:
        """All that is left under a prefix, under the names that follow it."""
        return {key.removeprefix(prefix): self.take(key) for key in self.left if key.startswith(prefix)}

    def drop(self, pattern: str, why: str) -> None:
        """Leave out what is left and whose name starts with a match of `pattern` (a regular expression)."""
        found = re.compile(pattern)
        self._dropped.update({key: why for key in self.left if found.match(key)})

    def close(self, blocks: str = BLOCKS) -> Dropped:
        """Drop the rest as no part of the encoder, and give all that was dropped.

        Args:
            blocks: names that no encoder can do without; one of them left over is a fault.

        Raises:
            CheckpointError: such a name is left: reading on would leave a block at random.
        """
        forgotten = [key for key in self.left if re.match(blocks, key)]
        if forgotten:
            more = f" and {len(forgotten) - 3} more" if len(forgotten) > 3 else ""
            raise CheckpointError(
                f"has tensors that this layout has no place for: {', '.join(forgotten[:3])}{more}",
                where=self.where,
                fix="It may be of another layout (--layout), or a variant that is not known here",
            )
        self.drop("", "no part of the encoder")
        return tuple(self._dropped.items())
