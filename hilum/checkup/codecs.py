"""Codecs, judged by what they do.

A small film is encoded in each transfer syntax that an encoder is installed for, and decoded through the same door and
in the same kind of child process as a hospital's file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hilum.checkup.check import Check
from hilum.dicom.decode_worker import DecodeWorker
from hilum.dicom.read import read_film
from hilum.errors import UserError

TASK = "hilum.checkup.codecs:rounded_pixels"
SIDE = 64  # pixels; JPEG 2000 encoders want at least 32


def rounded_pixels(request: dict[str, Any]) -> dict[str, Any]:
    """Worker task: the 8-bit pixels of a small film."""
    return {"pixels": np.rint(read_film(request["path"]).pixels * 255).astype(int).tolist()}


def codecs() -> Iterator[Check]:
    """One check a transfer syntax and raster format."""
    from pydicom.pixels.decoders.base import get_decoder

    samples, others = _samples()
    with tempfile.TemporaryDirectory() as folder, DecodeWorker(TASK, seconds=30) as worker:
        for name, (write, tolerance) in samples.items():
            path = Path(folder) / "sample"
            path.unlink(missing_ok=True)
            try:
                write(path)
            except Exception as error:  # no encoder: then the decoder is only looked up, below
                yield Check(f"codec {name}", "warning", f"not tried, no sample could be made ({type(error).__name__})")
                continue
            try:
                pixels = np.array(worker({"path": str(path)})["pixels"])
            except UserError as error:
                yield Check(f"codec {name}", "FAULT", error.what)
                continue
            off = int(np.abs(pixels - _film()).max()) if pixels.shape == (SIDE, SIDE) else 255
            detail = "decodes" if off <= tolerance else f"decodes wrongly (off by {off} of 255)"
            yield Check(f"codec {name}", "ok" if off <= tolerance else "FAULT", detail)
    for name, syntax in others.items():
        plugins = get_decoder(syntax).available_plugins
        detail = f"decoder installed ({', '.join(plugins)}), not tried" if plugins else "no decoder: files are refused"
        yield Check(f"codec {name}", "ok" if plugins else "warning", detail)


def _film() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A ramp that fills 0 to 255, smooth enough for lossy codecs."""
    ramp = np.linspace(0, 255, SIDE)
    return np.asarray(np.rint((ramp[:, None] + ramp[None]) / 2), dtype=np.uint8)


def _samples() -> tuple[dict[str, tuple[Callable[[Path], None], int]], dict[str, Any]]:
    """Name -> (writer of a sample, grey levels it may be off); and syntaxes that no encoder here can write."""
    from PIL import Image
    from pydicom import uid

    def raster(kind: str) -> Callable[[Path], None]:
        return lambda path: Image.fromarray(_film()).save(path, format=kind)

    def dicom(syntax: Any) -> Callable[[Path], None]:
        return lambda path: _write_dicom(path, syntax)

    samples: dict[str, tuple[Callable[[Path], None], int]] = {
        "PNG": (raster("PNG"), 0),
        "JPEG": (raster("JPEG"), 8),
        "DICOM uncompressed": (dicom(uid.ExplicitVRLittleEndian), 0),
        "DICOM deflated": (dicom(uid.DeflatedExplicitVRLittleEndian), 0),
        "DICOM RLE": (dicom(uid.RLELossless), 0),
        "DICOM JPEG baseline": (dicom(uid.JPEGBaseline8Bit), 8),
        "DICOM JPEG-LS": (dicom(uid.JPEGLSLossless), 0),
        "DICOM JPEG 2000": (dicom(uid.JPEG2000Lossless), 0),
    }
    others = {
        "DICOM JPEG extended 12 bit": uid.JPEGExtended12Bit,
        "DICOM JPEG lossless": uid.JPEGLosslessSV1,
        "DICOM HTJ2K": uid.HTJ2KLossless,
    }
    return samples, others


def _write_dicom(path: Path, syntax: Any) -> None:
    """A minimal radiograph in a transfer syntax."""
    import io

    from PIL import Image
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    ds = Dataset()
    ds.SOPClassUID = uid.ComputedRadiographyImageStorage
    ds.SOPInstanceUID = uid.generate_uid(entropy_srcs=["hilum doctor"])
    ds.Modality, ds.PhotometricInterpretation = "CR", "MONOCHROME2"
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 8, 8, 7, 0
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.PixelData = _film().tobytes()
    ds["PixelData"].VR = "OB"
    if syntax == uid.JPEGBaseline8Bit:
        body = io.BytesIO()
        Image.fromarray(_film()).save(body, format="JPEG", quality=95)
        ds.PixelData = encapsulate([body.getvalue()])
        ds["PixelData"].is_undefined_length = True
    elif syntax.is_encapsulated:
        ds.compress(syntax)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
