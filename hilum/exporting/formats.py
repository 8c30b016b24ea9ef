"""The formats an encoder leaves in, and the one way it does: a folder that is whole or not there at all.

A format is one file with one function `write(encoder, folder) -> Written`: it writes the files its readers want into a
folder that is not there yet under its name, and says what it wrote, how it is read back, and what it cannot say. The
card, the hashes and the renaming are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hilum.checkpoint import CARD, whole_folder
from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.exporting.places import record_without_places
from hilum.lookup import lookup
from hilum.model_card import Loading, Measured, Statement, model_card

OURS: Final = "hilum"
FORMATS: Final[dict[str, str]] = {
    OURS: "hilum.exporting.ours:write",
    "timm": "hilum.exporting.timm:write",
    "huggingface": "hilum.exporting.huggingface:write",
    "onnx": "hilum.exporting.onnx:write",
}


@dataclass(frozen=True)
class Written:
    """What a format made of an encoder."""

    what: str  # in a few words, for the printed lines
    loading: Loading
    left_behind: tuple[str, ...] = ()  # parts of the encoder the format has no place for


@dataclass(frozen=True)
class Exported:
    """An encoder in a folder."""

    folder: Path
    format: str
    written: Written
    sizes: dict[str, int] = field(default_factory=dict)  # file -> bytes

    def lines(self) -> list[str]:
        """What a person is told."""
        total = sum(self.sizes.values())
        files = ", ".join(f"{name} {_size(size)}" for name, size in self.sizes.items() if size > total / 100)
        notes = [f"note: {note}" for note in self.written.loading.notes]
        left = [f"left behind: {part}" for part in self.written.left_behind]
        return [f"{self.written.what} in {self.folder} ({files})", *left, *notes]


def export_encoder(
    encoder: Encoder,
    format: str,  # what the command line calls it
    out: str | Path,
    *,
    statement: Statement | None = None,
    measured: Sequence[Measured] = (),
    made: dict[str, str] | None = None,
    place: str = "FOLDER",
) -> Exported:
    """Write an encoder into a folder in one of `FORMATS`.

    Args:
        encoder: any; a format refuses what it cannot hold.
        format: a key of `FORMATS`.
        out: a folder that is not there yet, or empty.
        statement: licence and data, for the card.
        measured: results, for the card.
        made: how the folder is made, for the card.
        place: what the card's example loads.

    Raises:
        ConfigError: no such format, or the folder is not empty, or the format cannot hold this encoder; it says which
            field of its architecture stands in the way.
        MissingDependencyError: the format needs a package that is not installed.
        UserError: the folder cannot be written; nothing half-written stays.
    """
    write: Callable[[Encoder, Path], Written] = lookup(FORMATS, format, kind="format")
    folder = Path(out)
    refuse_full(folder)
    shared = Encoder(
        encoder.model,
        encoder.preprocessing,
        record_without_places(encoder.origin),
        towers=encoder.towers,
        tokenizer=encoder.tokenizer,
        pool=encoder.pool,
    )
    with whole_folder(folder, hashed=format == OURS) as partial:
        written = write(shared, partial)
        loading = written.loading
        notes = (*loading.notes, *(f"Left behind: {part}." for part in written.left_behind))
        card = model_card(
            shared.describe(),
            sum(weight.numel() for weight in encoder.model.parameters()),
            statement=statement,
            loading=Loading(loading.library, loading.lines.replace("{here}", place), notes),
            measured=measured,
            made={"format": format, **(made or {})},
        )
        (partial / CARD).write_text(card, encoding="utf-8")
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*"))}
    return Exported(folder, format, written, sizes)


def refuse_full(folder: Path) -> None:
    """Refuse a place where something is already.

    Raises:
        ConfigError: a file, or a folder that is not empty.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError("is a file, not a folder", where=folder, fix="Give another --out")
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError("the output folder is not empty", where=folder, fix="Give another --out")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"
