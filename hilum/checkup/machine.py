"""What `hilum doctor` looks at: anything on this machine, or in a data folder, that would fail later.

Codecs are judged by what they do: a small film is encoded in each transfer syntax that an encoder is installed for,
and decoded through the same door and in the same kind of child process as a hospital's file.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hilum.dicom.decode_worker import DecodeWorker
from hilum.dicom.read import read_film
from hilum.errors import UserError

Status = Literal["ok", "warning", "FAULT"]
GIB = 2**30
TASK = "hilum.checkup:rounded_pixels"
SIDE = 64  # pixels; JPEG 2000 encoders want at least 32
# Below these, a known hole or a missing function: see the versions in pyproject.toml.
MINIMUM = {"torch": (2, 10), "pydicom": (3, 0, 2), "pillow": (12, 2), "numpy": (2, 1), "pandas": (2, 2)}
PLAIN = ("simplejpeg", "pyarrow", "numba", "scipy", "scikit-learn", "lightning-fabric", "safetensors")


@dataclass(frozen=True)
class Check:
    """One line of the report; a FAULT will fail later, a warning may."""

    name: str
    status: Status
    detail: str


def examine(data: Path | None = None) -> list[Check]:
    """Run all checks; `data` is a data folder to look at as well."""
    checks = [_python(), *_packages(), *_device(), *_codecs(), _memory(), _disk(Path.cwd())]
    if data is not None:
        checks += [*_data(Path(data))]
    return checks


def rounded_pixels(request: dict[str, Any]) -> dict[str, Any]:
    """Worker task: the 8-bit pixels of a small film."""
    return {"pixels": np.rint(read_film(request["path"]).pixels * 255).astype(int).tolist()}


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", "ok" if sys.version_info >= (3, 11) else "FAULT", detail)


def _packages() -> Iterator[Check]:
    for name in (*MINIMUM, *PLAIN):
        wanted = MINIMUM.get(name, ())
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, "FAULT", f"not installed; pip install {name}")
            continue
        numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in found.split("+")[0].split(".")[:3])
        old = numbers < wanted
        need = ".".join(map(str, wanted))
        yield Check(name, "FAULT" if old else "ok", f"{found}, too old: pip install '{name}>={need}'" if old else found)


def _device() -> Iterator[Check]:
    try:
        import torch
    except Exception as error:  # a broken build raises anything from ImportError to OSError
        yield Check("device", "FAULT", f"torch cannot be imported ({type(error).__name__})")
        return
    if not torch.cuda.is_available():
        built = "torch is built without CUDA" if torch.version.cuda is None else "no GPU is visible"
        yield Check("device", "warning", f"CPU with {os.cpu_count()} cores ({built}): training will be slow")
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        yield Check("device", "ok", f"cuda:{number} {facts.name}, {facts.total_memory / GIB:.0f} GiB, {bf16}")


def _codecs() -> Iterator[Check]:
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


def _memory() -> Check:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return Check("memory", "warning", "cannot be measured on this system")
    status: Status = "FAULT" if free < GIB else "warning" if free < 4 * GIB else "ok"
    return Check("memory", status, f"{free / GIB:.1f} GiB available")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    status: Status = "FAULT" if free < GIB else "warning" if free < 10 * GIB else "ok"
    return Check("disk", status, f"{free / GIB:.1f} GiB free at {folder}")


def _data(folder: Path) -> Iterator[Check]:
    """Is a data folder ready to train on: its manifest, all files there, some of them readable, splits drawn?"""
    from hilum.manifest import Manifest

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
    if not os.access(manifest.root, os.W_OK):
        yield Check("data cache", "warning", "the folder cannot be written: films are decoded again at each access")
    yield _disk(manifest.root)
