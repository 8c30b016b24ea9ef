"""Masks of findings, found beside a manifest: a folder of PNG, COCO run lengths, or SIIM's table.

What is known of a film and a finding: a mask is given; or the finding is known to be absent (label 0, "-1" in the
table, an image of the COCO file without that annotation), which is an empty mask; or nothing is known, and then it
enters neither loss nor metric.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hilum.errors import ConfigError, ImageError, ManifestError
from hilum.lookup import unknown_name
from hilum.manifest.run_lengths import EMPTY, Pairs, Runs
from hilum.manifest.table import Manifest
from hilum.schema import ABSENT, PRESENT, label_column

UNKNOWN: Final = 255  # value of a pixel whose truth nobody knows
FOLDER: Final = "masks"  # beside the manifest, where nothing else is named
SIIM_SIZE: Final = (1024, 1024)
Key = tuple[str, str]  # image, finding
Piece = Path | Runs
KEYS: Final = ("imageid", "image_id", "image", "file_name", "dicom_id")
RUNS: Final = ("encodedpixels", "rle", "mask")
NAMES: Final = ("finding", "category", "class", "label")


@dataclass(frozen=True)
class Masks:
    """Masks of K findings on N films, read when asked for; call it with a row.

    Args:
        findings: their names.
        pieces: of each film and finding the files or run lengths whose union is its mask.
        stated: (N, K) float32: 1 a mask is given, 0 known to be empty, NaN unknown.
        notes: what a reader of results must know about them.
    """

    findings: tuple[str, ...]
    pieces: tuple[tuple[tuple[Piece, ...], ...], ...]
    stated: NDArray[np.float32]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pieces)

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """The masks of a film, (K, h, w) uint8 of 0, 1 and `UNKNOWN`; 1 x 1 where none has a pixel drawn.

        Raises:
            ImageError: a file cannot be read.
            ManifestError: run lengths are wrong.
        """
        planes = [_union(pieces) for pieces in self.pieces[row]]
        size = max((plane.shape for plane in planes if plane is not None), default=(1, 1))
        found = np.zeros((len(planes), *size), np.uint8)
        for k, plane in enumerate(planes):
            if plane is not None:
                found[k] = resize_nearest(plane[None], size)[0]
            elif np.isnan(self.stated[row, k]):
                found[k] = UNKNOWN
        return found

    def take(self, rows: NDArray[np.intp]) -> Masks:
        """Those of some films, in the order asked for."""
        return replace(self, pieces=tuple(self.pieces[row] for row in rows), stated=self.stated[rows])


def resize_nearest(masks: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(K, h, w) -> (K, rows, columns): each new pixel takes the value of the old one under its centre."""
    if masks.shape[1:] == size:
        return masks
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in zip(size, masks.shape[1:], strict=True)
    )
    return masks[:, rows[:, None], columns]


def read_masks(
    manifest: Manifest,
    findings: Sequence[str],
    path: str | Path | None = None,
    *,
    pairs: Pairs = "relative",
    size: tuple[int, int] = SIIM_SIZE,
    every: bool = True,
) -> Masks:
    """Find the masks of a manifest's films.

    Args:
        manifest: the films.
        findings: whose masks.
        path: a folder with `<image_id>.<Finding>.png` (or `<Finding>/<image_id>.png`; for one finding also
            `<image_id>.png` and `<image_id>_mask.png`), a COCO JSON file, or a table with ImageId and EncodedPixels;
            None: the folder `masks` beside the manifest.
        pairs: how a table counts its runs.
        size: rows and columns of the masks in a table.
        every: refuse a finding without any mask; otherwise only if no finding has one.

    Raises:
        ConfigError: nothing there, not of a known form, or no mask of a finding.
    """
    _check_names(findings)
    source = Path(path) if path is not None else manifest.root / FOLDER
    if source.is_dir():
        given, empty = _in_folder(source, manifest, findings), set[Key]()
    elif source.suffix.lower() == ".json" and source.is_file():
        given, empty = _in_coco(source, findings)
    elif source.is_file():
        given, empty = _in_table(source, findings, pairs, size)
    else:
        fix = "Give --masks: a folder of PNG, a COCO file, or a table with ImageId and EncodedPixels"
        raise ConfigError("no such file or folder of masks", where=source, fix=fix)
    found = _matched(manifest, tuple(findings), given, empty)
    poor = [name for name, column in zip(findings, found.stated.T, strict=True) if not (column == 1).any()]
    if poor if every else len(poor) == len(findings):
        what = f"no mask of {', '.join(poor)} for any of the {len(manifest)} films"
        stray = next((key for key, name in given if name in poor), None)  # of the finding, but of no film here
        if stray is not None:
            fix = f"Name images as the manifest does, e.g. {manifest.table['image_id'].iloc[0]}, not {stray}"
        else:
            names = sorted({name for _, name in given} | _named_in_folder(source))
            fix = f"It has masks of: {', '.join(names[:20]) or 'nothing that matches an image_id'}"
        raise ConfigError(what, where=source, fix=fix)
    for piece in (piece for film in found.pieces for mask in film for piece in mask):
        if isinstance(piece, Runs):
            piece.check()  # a bad row stops a run here, not in its third hour
    return found


def _named_in_folder(source: Path) -> set[str]:
    """Findings that the files of a folder name: `ID.Finding.png` or `Finding/ID.png`."""
    paths = [path.relative_to(source) for path in source.rglob("*.png")] if source.is_dir() else []
    return {path.parts[0] if len(path.parts) > 1 else path.stem.rpartition(".")[2] for path in paths}


def _matched(manifest: Manifest, findings: tuple[str, ...], given: Mapping[Key, list[Piece]], empty: set[Key]) -> Masks:
    """What a source holds, film by film, joined with the labels."""
    pieces = []
    stated = np.full((len(manifest), len(findings)), np.nan, np.float32)
    labels = np.full(stated.shape, np.nan)
    for k, finding in enumerate(findings):
        if label_column(finding) in manifest.table:
            labels[:, k] = manifest.table[label_column(finding)]
    for row, keys in enumerate(_keys(manifest)):
        here = [next((tuple(given[key, f]) for key in keys if (key, f) in given), ()) for f in findings]
        pieces.append(tuple(here))
        for k, (finding, found) in enumerate(zip(findings, here, strict=True)):
            said_empty = labels[row, k] != PRESENT and any((key, finding) in empty for key in keys)
            if found:
                stated[row, k] = 1
            elif labels[row, k] == ABSENT or said_empty:
                stated[row, k] = 0
    disputed = int(((stated == 1) & (labels == ABSENT)).sum())
    notes = (f"{disputed} masks belong to films whose label says absent: the mask counts.",) if disputed else ()
    return Masks(findings, tuple(pieces), stated, notes)


def _keys(manifest: Manifest) -> list[tuple[str, ...]]:
    """What another file may call each film: its id, and its file's name with and without ending."""
    paths = [PurePosixPath(image) for image in manifest.table["image"]]
    return [
        tuple(dict.fromkeys((str(image), path.stem, path.name, str(path))))
        for image, path in zip(manifest.table["image_id"], paths, strict=True)
    ]


def _in_folder(folder: Path, manifest: Manifest, findings: Sequence[str]) -> dict[Key, list[Piece]]:
    """The PNG files that belong to a film and a finding."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    found: dict[Key, list[Piece]] = {}
    for keys in _keys(manifest):
        for finding in findings:
            for key in keys:
                names = [f"{key}.{finding}.png", f"{key}_{finding}.png", f"{finding}/{key}.png"]
                if len(findings) == 1:
                    names += [f"{key}.png", f"{key}_mask.png"]
                if name := next((name for name in names if name in there), None):
                    found[key, finding] = [folder / name]
    return found


def _in_coco(path: Path, findings: Sequence[str]) -> tuple[dict[Key, list[Piece]], set[Key]]:
    """Run lengths of a COCO file, and the images it lists."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"is not JSON ({error})", where=path) from error
    if not isinstance(content, Mapping) or not {"images", "annotations", "categories"} <= set(content):
        raise ConfigError("is not COCO", where=path, fix="It needs the keys images, annotations and categories")
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    for finding in findings:
        if finding not in names.values():
            raise unknown_name(finding, sorted(names.values()), kind="category", where=str(path))
    images = {image["id"]: _coco_keys(image) for image in content["images"]}
    given: defaultdict[Key, list[Piece]] = defaultdict(list)
    for note in content["annotations"]:
        drawn, where = note.get("segmentation"), f"{path}, annotation {note.get('id')}"
        if names[note["category_id"]] not in findings or not drawn:
            continue
        if not isinstance(drawn, Mapping):
            fix = "Convert polygons to run lengths with pycocotools: annToRLE"
            raise ConfigError("is a polygon, not run lengths", where=where, fix=fix)
        counts = drawn["counts"]
        runs = Runs(counts if isinstance(counts, str) else tuple(counts), "coco", tuple(drawn["size"]), where)
        for key in images[note["image_id"]]:
            given[key, names[note["category_id"]]].append(runs)
    listed = {(key, finding) for keys in images.values() for key in keys for finding in findings}
    return dict(given), listed - set(given)


def _coco_keys(image: Mapping[str, Any]) -> tuple[str, ...]:
    path = PurePosixPath(str(image.get("file_name", image["id"])))
    own = [image["id"]] if isinstance(image["id"], str) else []
    return tuple(dict.fromkeys((*own, path.stem)))


def _in_table(
    path: Path, findings: Sequence[str], pairs: Pairs, size: tuple[int, int]
) -> tuple[dict[Key, list[Piece]], set[Key]]:
    """Run lengths of SIIM's table; several rows of an image are parts of one mask."""
    parquet = path.suffix.lower() == ".parquet"
    table = pd.read_parquet(path) if parquet else pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = {str(name).strip().casefold(): name for name in table.columns}
    image, runs = (next((columns[name] for name in names if name in columns), None) for names in (KEYS, RUNS))
    named = next((columns[name] for name in NAMES if name in columns), None)
    if image is None or runs is None:
        fix = f"Its columns are {', '.join(map(str, table.columns))}"
        raise ConfigError("has no columns ImageId and EncodedPixels", where=path, fix=fix)
    if named is None and len(findings) != 1:
        fix = f"Name one finding, or add a column {NAMES[0]}"
        raise ConfigError(f"does not say which of {', '.join(findings)} a mask is of", where=path, fix=fix)
    given: defaultdict[Key, list[Piece]] = defaultdict(list)
    listed: set[Key] = set()
    kinds: Iterable[str] = table[named].astype(str).str.strip() if named is not None else [findings[0]] * len(table)
    for key, text, finding in zip(table[image].astype(str).str.strip(), table[runs].astype(str), kinds, strict=True):
        listed.add((key, finding))
        if text.strip() not in (EMPTY, ""):
            given[key, finding].append(Runs(text, pairs, size, f"{path}, {image} {key}"))
    return dict(given), listed - set(given)


def _union(pieces: tuple[Piece, ...]) -> NDArray[np.uint8] | None:
    """One mask (h, w) of 0 and 1; None without a piece."""
    found: NDArray[np.bool_] | None = None
    for piece in pieces:
        mask = piece.mask() if isinstance(piece, Runs) else read_png(piece)
        if found is not None and found.shape != mask.shape:
            raise ManifestError(f"parts of one mask are {found.shape} and {mask.shape} pixels", where=str(piece))
        found = mask if found is None else found | mask
    return None if found is None else found.astype(np.uint8)


def read_png(path: Path) -> NDArray[np.bool_]:
    """A mask file -> (h, w) bool: 255 (or 1, where nothing is larger) is inside, from the middle of the range on.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            values = np.array(image.convert("L"))
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be read as a mask ({error})", where=path, fix="Replace or remove it") from error
    inside: NDArray[np.bool_] = values >= 128 if values.max(initial=0) > 1 else values == 1
    return inside


def _check_names(findings: Sequence[str]) -> None:
    if not findings:
        raise ConfigError("no finding named", where="labels", fix="Name what the masks are of, e.g. Pneumothorax")
    if len(set(findings)) < len(findings):
        raise ConfigError(f"a finding is named twice in {','.join(findings)}", where="labels", fix="Name each one once")
