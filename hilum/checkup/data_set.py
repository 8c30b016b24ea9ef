"""Is a data folder ready to train on: its manifest, all files there, some of them readable, splits, labels, twins?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hilum.checkup.check import Check
from hilum.checkup.codecs import TASK
from hilum.checkup.machine import disk
from hilum.dicom.decode_worker import DecodeWorker
from hilum.errors import UserError
from hilum.manifest import Manifest

FEW = 20  # positive films of a finding; with fewer an interval says nothing


def data_set(folder: Path) -> Iterator[Check]:
    """Is a data folder ready to train on: its manifest, all files there, some of them readable, splits drawn?"""
    try:
        manifest = Manifest.read(folder)
        yield Check("data manifest", "ok", f"{len(manifest)} films, findings: {', '.join(manifest.findings) or 'none'}")
        manifest.check_files()
        yield Check("data files", "ok", "all there")
        paths = manifest.paths()
        with DecodeWorker(TASK) as worker:
            for path in paths[:: max(1, len(paths) // 20)][:20]:
                worker({"path": str(path)})
        yield Check("data films", "ok", "20 spread over the manifest can be read" if len(paths) > 20 else "can be read")
    except UserError as error:
        yield Check("data", "FAULT", str(error))
        return
    counts = manifest.table["split"].value_counts()
    drawn = [f"{counts[split]} {split}" for split in ("train", "val", "test") if split in counts.index]
    yield Check("data splits", "ok" if len(drawn) == 3 else "warning", ", ".join(drawn) or "none: all rows are blank")
    yield from _few(manifest)
    yield from _twins(manifest)
    if not os.access(manifest.root, os.W_OK):
        yield Check("data cache", "warning", "the folder cannot be written: films are decoded again at each access")
    yield replace(disk(manifest.root), name="data disk")


def _few(manifest: Manifest) -> Iterator[Check]:
    """Findings that cannot be judged: too few films with them among the test films."""
    test = manifest.select(split="test")
    if not len(test) or not manifest.findings:
        return
    positives = (test.labels(manifest.findings) == 1).sum(axis=0)
    few = [f"{name} {count}" for name, count in zip(manifest.findings, positives, strict=True) if count < FEW]
    enough = len(manifest.findings) - len(few)
    detail = f"{enough} of {len(manifest.findings)} findings on {FEW} test films or more"
    yield Check("data labels", "warning" if few else "ok", f"{detail}; fewer: {', '.join(few[:6])}" if few else detail)


def _twins(manifest: Manifest) -> Iterator[Check]:
    """The same file in two splits: a leak whatever the patient ids say."""
    table = manifest.table
    if "sha256" not in table:
        return
    known = table[(table["sha256"] != "") & (table["split"] != "")]
    splits = known.groupby("sha256")["split"].nunique()
    shared = int((splits > 1).sum())
    if shared:
        yield Check("data twins", "FAULT", f"{shared} files are in two splits: see hilum audit {manifest.root}")
    else:
        yield Check("data twins", "ok", "no file is in two splits")
