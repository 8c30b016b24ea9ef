"""DICOM films made in memory: the headers a chest radiograph has, and any cells a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset


def chest(cells: np.ndarray, **header: Any) -> Dataset:
    """A CR data set holding `cells` (H, W) of 8, 16 or 32 bits; `header` overrides any element."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID = uid.ComputedRadiographyImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID = "1.2.3.4.5", "1.2.3.4"
    ds.PatientID, ds.Modality, ds.BodyPartExamined = "P1", "CR", "CHEST"
    ds.Rows, ds.Columns = cells.shape[:2]
    ds.SamplesPerPixel = 1 if cells.ndim == 2 else cells.shape[2]
    if cells.ndim == 3:
        ds.PlanarConfiguration = 0
    bits = cells.dtype.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(cells.dtype.kind == "i")
    ds.PhotometricInterpretation = "MONOCHROME2" if cells.ndim == 2 else "RGB"
    ds.PixelData = cells.tobytes() + b"\0" * (cells.nbytes % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in header.items():
        setattr(ds, name, value)
    return ds


def save(ds: Dataset, path: Path, syntax: uid.UID = uid.ExplicitVRLittleEndian) -> Path:
    """Write it in a transfer syntax (encoding with what is installed)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax.is_encapsulated and not ds.file_meta.TransferSyntaxUID.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
    return path


def lut_item(first: int, entries: list[int], bits: int) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first % 65536, bits])
    item.add_new("LUTData", "US", entries)
    return item
