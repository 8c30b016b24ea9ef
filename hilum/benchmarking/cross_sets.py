"""Several data sets under common names of findings, so that a classifier of one can be judged on another.

Every set gets a folder of its own under `OUT/data`: its table with the label columns renamed as the mapping says, every
row with a `source` (ids of two collections may coincide by chance), and a link to its films. Nothing of the sets
themselves is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hilum.benchmarking.cells import folder_name
from hilum.errors import ConfigError
from hilum.labels import with_no_finding
from hilum.manifest import Manifest
from hilum.schema import LABEL_PREFIX

FILMS: Final = "films"  # the link to a set's own folder


@dataclass(frozen=True)
class CrossSet:
    """One data set of a cross matrix."""

    name: str  # of its folder
    folder: str  # what is trained on and judged on: its table under common names
    manifest: Manifest
    findings: tuple[str, ...]  # that can be learned and judged here and are labelled in another set too
    alone: tuple[str, ...]  # labelled in no other set
    unfit: Mapping[str, str]  # shared, but its training or validation part lacks a class: finding -> why
    derived: str | None = None  # how its NoFinding came about, where the set has none of its own


def cross_sets(
    folders: Sequence[str],
    out: Path,
    *,
    labels: Sequence[str] = (),
    label_names: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[CrossSet, ...]:
    """Read the sets, rename their findings, and find what they share.

    Args:
        folders: at least two data folders.
        out: the benchmark's folder; tables are written under `out/data`.
        labels: common names to take; all that two sets share where empty. NoFinding is derived where a set has none.
        label_names: folder name -> its own name of a finding -> the common name.

    Raises:
        ConfigError: fewer than two sets, two of one name, a wrong name in the mapping, or nothing in common.
        ManifestError: a set cannot be read.
    """
    names = [Path(folder).resolve().name for folder in folders]
    if len(folders) < 2:
        raise ConfigError("needs at least two data folders", where="cross", fix="Write --cross A,B,C")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two sets are called {', '.join(twice)}", where="cross", fix="Rename one of the folders")
    mapping = label_names or {}
    if unknown := sorted(set(mapping) - set(names)):
        what = f"names findings of {', '.join(unknown)}, which is none of the sets"
        raise ConfigError(what, where="label_names", fix=f"Sets: {', '.join(names)}")
    tables, rules = dict[str, Manifest](), dict[str, str | None]()
    for name, folder in zip(names, folders, strict=True):
        tables[name], rules[name] = with_no_finding(
            _renamed(Manifest.read(folder), name, mapping.get(name, {})), labels
        )
    shared = _shared(tables, labels)
    found = []
    for name, table in tables.items():
        place = out / "data" / folder_name(name)
        manifest = _written(table, place)
        own = [finding for finding in manifest.findings if finding in shared]
        unfit = {finding: why for finding in own if (why := _unfit(manifest, finding))}
        fit = tuple(finding for finding in own if finding not in unfit)
        alone = tuple(finding for finding in manifest.findings if finding not in shared)
        found.append(CrossSet(name, str(place), manifest, fit, alone, unfit, rules[name]))
    return tuple(found)


def _renamed(manifest: Manifest, name: str, names: Mapping[str, str]) -> Manifest:
    """A set under common names, all rows with a source, images behind the link."""
    for own in names:
        if own not in manifest.findings:
            known = ", ".join(manifest.findings) or "none"
            raise ConfigError(f"{name} has no finding {own!r}", where="label_names", fix=f"It has: {known}")
    table = manifest.table.rename(columns={LABEL_PREFIX + own: LABEL_PREFIX + common for own, common in names.items()})
    if len(set(table.columns)) < len(table.columns):
        doubled = sorted({str(column) for column in table.columns if list(table.columns).count(column) > 1})
        what = f"{name} would have two columns {', '.join(doubled)}"
        raise ConfigError(what, where="label_names", fix="Map only one finding to a name")
    source = table["source"] if "source" in table else np.array([""] * len(table), dtype=object)
    table = table.assign(
        image=[f"{FILMS}/{image}" for image in table["image"]],
        source=[given or name for given in source],
    )
    return Manifest(table, manifest.root)


def _written(manifest: Manifest, place: Path) -> Manifest:
    """The table in its folder, with the link to its films; written only where it is not there yet."""
    place.mkdir(parents=True, exist_ok=True)
    link = place / FILMS
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(manifest.root.resolve(), target_is_directory=True)
    if not (place / "manifest.parquet").is_file() or Manifest.read(place).digest != manifest.digest:
        Manifest.from_table(manifest.table, place).write(place)
    return Manifest.read(place)


def _shared(tables: Mapping[str, Manifest], labels: Sequence[str]) -> set[str]:
    """Findings that at least two sets have a column for; those asked for, if any are."""
    counted: dict[str, int] = {}
    for manifest in tables.values():
        for finding in manifest.findings:
            counted[finding] = counted.get(finding, 0) + 1
    shared = {finding for finding, count in counted.items() if count > 1}
    for finding in labels:
        if finding not in shared:
            known = ", ".join(sorted(shared)) or "none; map names with label_names"
            raise ConfigError(f"{finding!r} is not labelled in two sets", where="labels", fix=f"Shared: {known}")
    if not shared:
        listed = "; ".join(f"{name}: {', '.join(table.findings) or 'none'}" for name, table in tables.items())
        what = f"the sets share no finding ({listed})"
        raise ConfigError(what, where="cross", fix="Map their names with label_names in the task file")
    return set(labels) or shared


def _unfit(manifest: Manifest, finding: str) -> str:
    """Why a finding cannot be learned or chosen by on a set's own films; empty where it can."""
    column, split = manifest.labels((finding,))[:, 0], manifest.table["split"].to_numpy(dtype=str)
    for part in ("train", "val"):
        positive, negative = (int(((column == value) & (split == part)).sum()) for value in (1, 0))
        if not (positive and negative):
            return f"{positive} positive and {negative} negative films in {part}"
    return ""
