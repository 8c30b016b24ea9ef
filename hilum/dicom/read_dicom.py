"""A DICOM file to a film: refuse what is no chest radiograph, decode one frame, run the grayscale pipeline.

Departures from a full viewer: presentation states and overlays are ignored, the first of several windows or VOI LUTs
is taken (the record says so: `Preprocessing.voi`), padding is black, and a film of several frames is refused.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from hilum.dicom import grayscale
from hilum.dicom.codestream import declared_size
from hilum.dicom.facts import header_facts, spacing_of
from hilum.dicom.film import MAX_FILE_BYTES, Film, check_size
from hilum.errors import ImageError

_RADIOGRAPHS = ("CR", "DX", "DR", "RG", "RF", "XA", "OT", "SC", "")
_OTHER_MODALITIES = (
    "CT", "MR", "US", "PT", "NM", "MG", "IO", "PX", "ES", "SM", "OP", "OCT", "OPT", "ECG", "XC", "BMD", "BI", "GM",
    "SR", "KO", "PR", "SEG", "DOC", "REG", "RTIMAGE", "RTSTRUCT", "RTPLAN", "RTDOSE", "AU", "HD", "EPS", "IVUS", "TG",
)  # fmt: skip
_OTHER_PARTS = (
    "SKULL", "HEAD", "BRAIN", "FACE", "SINUS", "JAW", "TEETH", "DENTAL", "ORBIT", "HAND", "WRIST", "FINGER", "THUMB",
    "FOREARM", "ELBOW", "HUMERUS", "ARM", "SHOULDER", "FOOT", "TOE", "ANKLE", "CALCANEUS", "HEEL", "KNEE", "PATELLA",
    "LEG", "TIBIA", "FEMUR", "THIGH", "HIP", "PELVIS", "ABDOMEN", "BREAST", "LSPINE", "CSPINE", "SACRUM", "COCCYX",
    "EXTREMITY", "KUB",
)  # fmt: skip
_CHEST_WORDS = ("CHEST", "THORAX", "TORAX", "LUNG", "RIB", "HEART", "STERNUM", "CLAVICLE")
_DEFLATED = str(DeflatedExplicitVRLittleEndian).encode()
# pyjpegls is twice as fast as the first in line; for RLE pydicom's own, since the fast one aborts on damaged files.
_PLUGINS = {"JPEG-LS": "pyjpegls", "RLE": "pydicom"}


def read_dicom(path: Path) -> Film:
    """Decode a DICOM file into a film.

    Returns:
        The film; `header` holds `hilum.dicom.facts.header_facts` and `format`, `bits`, `photometric`, `voi`
        ("lut", "window", or "range": our rule for files without one).

    Raises:
        ImageError: no picture, not a chest radiograph, several frames, too large, sizes that contradict each other.
            pydicom's own errors pass; `hilum.dicom.read.read_film` wraps them.
    """
    ds = _parse(path)
    check_kind(path, ds)
    rows, columns, samples, allocated = (
        _number(path, ds, word) for word in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    )
    check_size(path, rows, columns, samples * max(allocated // 8, 1))
    photometric = str(ds.get("PhotometricInterpretation", "")).strip().upper()
    if samples == 1 and photometric in ("MONOCHROME1", "MONOCHROME2"):
        pixels, voi = _grey(path, ds, invert=photometric == "MONOCHROME1")
    else:
        pixels, voi = _colour(path, ds, photometric), "range"
    if pixels.shape != (rows, columns):
        raise ImageError(f"decoded to {pixels.shape}, its header says {(rows, columns)}", where=path)
    if not np.isfinite(pixels).all():
        raise ImageError("the picture holds values that are no numbers", where=path)
    header = header_facts(ds)
    header |= {
        "format": "dicom",
        "bits": int(ds.get("BitsStored") or allocated),
        "photometric": photometric,
        "voi": voi,
    }
    return Film(np.ascontiguousarray(pixels, dtype=np.float32), spacing_of(ds), header)


def check_kind(path: Path, ds: Dataset) -> None:
    """Refuse what is no single chest radiograph. Header text is not quoted: it may name a patient.

    Raises:
        ImageError: DICOMDIR, report, document, other modality, other body part, several frames.
    """
    sop_class = str(getattr(ds, "file_meta", {}).get("MediaStorageSOPClassUID", "") or ds.get("SOPClassUID", ""))
    if sop_class == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in ds:
        raise ImageError("a DICOMDIR is an index, not a picture", where=path)
    modality = str(ds.get("Modality") or "").strip().upper()
    if "PixelData" not in ds:
        name = pydicom.uid.UID(sop_class).name
        name = "unknown kind" if name == sop_class else name
        raise ImageError(f"the object ({name}) holds no picture of integers", where=path)
    if modality not in _RADIOGRAPHS:
        known = modality if modality in _OTHER_MODALITIES else "unknown"
        raise ImageError(f"the modality is {known}, not a radiograph", where=path)
    part = str(ds.get("BodyPartExamined") or "").upper()
    other = next((word for word in _OTHER_PARTS if word in "".join(part.split())), None)
    if other and not any(word in part for word in _CHEST_WORDS):
        raise ImageError(f"the body part is {other}, not the chest", where=path)
    frames = int(ds.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"the file has {frames} frames; a chest film has one", where=path)


def _parse(path: Path) -> pydicom.FileDataset:
    """The data set; one that is deflated (PS3.5 A.5) is inflated to a bound first."""
    with path.open("rb") as file:
        head = file.read(2048)
        if _DEFLATED in head:
            start = 132 + 12 + int(pydicom.filereader.read_file_meta_info(path).FileMetaInformationGroupLength)
            file.seek(start)
            body = zlib.decompressobj(-zlib.MAX_WBITS)
            body.decompress(file.read(), MAX_FILE_BYTES)
            if body.unconsumed_tail:
                raise ImageError(f"the deflated data set inflates beyond {MAX_FILE_BYTES} bytes", where=path)
    return pydicom.dcmread(path, force=True)


def _number(path: Path, ds: Dataset, keyword: str) -> int:
    value = ds.get(keyword, 1 if keyword == "SamplesPerPixel" else None)
    if value is None:
        raise ImageError(f"the header has no {keyword}", where=path)
    return int(value)


def _grey(path: Path, ds: pydicom.FileDataset, *, invert: bool) -> tuple[NDArray[np.float32], str]:
    """Stored values through modality LUT, VOI LUT, then polarity (PS3.4 N.2); padding last, as black."""
    signed = ds.get("PixelRepresentation", 0) == 1
    levels, index = grayscale.levels_of(_stored_values(path, ds))
    pad = np.zeros(len(levels), dtype=bool)
    if (value := ds.get("PixelPaddingValue")) is not None:
        limit = ds.get("PixelPaddingRangeLimit")
        pad = grayscale.padding(levels, int(value), None if limit is None else int(limit))
    values: NDArray[Any] = levels
    bits = 0 if signed else int(ds.get("BitsStored") or 0)
    if luts := ds.get("ModalityLUTSequence"):
        table, first, _ = _lut(path, ds, luts[0], signed=signed)
        values, signed, bits = grayscale.looked_up(levels, table, first), False, 0
    elif ds.get("RescaleSlope") is not None or ds.get("RescaleIntercept") is not None:
        slope, intercept = _first(ds.get("RescaleSlope")), _first(ds.get("RescaleIntercept"))
        slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
        if (slope, intercept) != (1.0, 0.0):
            values, bits = grayscale.rescaled(levels, slope, intercept), 0
            signed = signed or intercept < 0 or slope < 0
    shown, voi = _voi_lut(path, ds, values, signed=signed)
    if shown is None:
        counts = np.where(pad, 0, np.bincount(index.ravel(), minlength=len(levels)))
        shown = grayscale.ranged(values, counts, bits)
    if invert:
        shown = np.float32(1) - shown
    shown = np.where(pad, np.float32(0), shown)
    return np.take(shown, index), voi


def _voi_lut(
    path: Path, ds: pydicom.FileDataset, values: NDArray[Any], *, signed: bool
) -> tuple[NDArray[np.float32] | None, str]:
    """Levels through the first VOI LUT, else through the first window if it is valid; [0, 1] and which of them."""
    if luts := ds.get("VOILUTSequence"):
        table, first, depth = _lut(path, ds, luts[0], signed=signed)
        return grayscale.looked_up(values, table, first) / np.float32(2**depth - 1), "lut"
    center, width = _first(ds.get("WindowCenter")), _first(ds.get("WindowWidth"))
    function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    if center is not None and width is not None and grayscale.window_is_valid(width, function):
        return grayscale.windowed(values, center, width, function), "window"
    return None, "range"


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    first = value if isinstance(value, str | float | int) or not hasattr(value, "__getitem__") else value[0]
    return float(first)


def _lut(path: Path, ds: pydicom.FileDataset, item: Dataset, *, signed: bool) -> tuple[NDArray[np.uint16], int, int]:
    """(entries, first input, bits an entry) of a LUT item (PS3.3 C.11.1.1.1): data may come as OW bytes or US words."""
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    count = count % 65536 or 65536  # 0 stands for 65,536; a writer may have used SS
    first = (first + 32768) % 65536 - 32768 if signed else first % 65536
    data = item["LUTData"].value
    if isinstance(data, bytes):
        narrow = len(data) < 2 * count
        order = "<" if ds.original_encoding[1] is not False else ">"
        table = np.frombuffer(data[: len(data) // 2 * 2], "u1" if narrow else f"{order}u2").astype(np.uint16)
    else:
        words = [data] if isinstance(data, int) else list(data)
        table = np.array(words, dtype=np.int64).astype(np.uint16)
        if bits <= 8 and len(table) < count:  # two 8-bit entries a word, the first in the low byte
            table = np.stack([table & 0xFF, table >> 8], axis=1).reshape(-1)
    if not 1 <= bits <= 16 or len(table) < count:
        raise ImageError(f"a lookup table announces {count} entries of {bits} bits and has {len(table)}", where=path)
    return table[:count], first, bits


def _stored_values(path: Path, ds: pydicom.FileDataset) -> NDArray[np.integer[Any]]:
    """(H, W) stored values of a one-sample picture."""
    syntax = _syntax(path, ds)
    allocated = int(ds.BitsAllocated)
    stored, high = int(ds.get("BitsStored") or allocated), ds.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise ImageError(f"bits allocated {allocated}, stored {stored}, high bit {high} do not go together", where=path)
    if syntax.is_encapsulated or allocated not in (8, 16, 32):
        return _decoded(path, ds, syntax)
    order = "<" if syntax.is_little_endian else ">"
    need = ds.Rows * ds.Columns * allocated // 8
    data = ds.PixelData
    if len(data) < need:
        raise ImageError(f"the picture needs {need} bytes and {len(data)} are there; the file is cut off", where=path)
    if allocated == 8 and order == ">" and ds["PixelData"].VR == "OW":  # 8-bit cells in swapped words (PS3.5 A.3)
        cells = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().view("u1")[: ds.Rows * ds.Columns]
    else:
        cells = np.frombuffer(data[:need], f"{order}u{allocated // 8}")
    cells = cells.astype(cells.dtype.newbyteorder("=")).reshape(ds.Rows, ds.Columns)
    return grayscale.unused_bits_removed(cells, stored, high, ds.get("PixelRepresentation", 0) == 1)


def _decoded(path: Path, ds: pydicom.FileDataset, syntax: pydicom.uid.UID) -> NDArray[Any]:
    """The pixel array by pydicom's decoders, after the codestream's own size was compared with the header's."""
    if syntax.is_encapsulated:
        size = declared_size(get_frame(ds.PixelData, 0, number_of_frames=1))
        if size is not None and size != (ds.Rows, ds.Columns):
            raise ImageError(f"the compressed picture is {size}, its header says {(ds.Rows, ds.Columns)}", where=path)
    decoder = get_decoder(syntax)
    plugin = next((plugin for word, plugin in _PLUGINS.items() if word in syntax.name), "")
    if plugin not in decoder.available_plugins:
        plugin = ""
    array, _ = decoder.as_array(ds, index=0, decoding_plugin=plugin)
    return np.asarray(array)


def _colour(path: Path, ds: pydicom.FileDataset, photometric: str) -> NDArray[np.float32]:
    """RGB, YBR (pydicom converts) or palette to luma (ITU-R BT.601). No modality or VOI LUT applies (PS3.3 C.11.2)."""
    array = _decoded(path, ds, _syntax(path, ds))
    bits = int(ds.get("BitsStored") or ds.BitsAllocated)
    if photometric == "PALETTE COLOR":
        array = apply_color_lut(array, ds)
        bits = array.dtype.itemsize * 8
    if array.ndim != 3 or array.shape[-1] < 3:
        raise ImageError(f"a {array.shape} picture is neither grey nor colour", where=path)
    luma = array[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(np.clip(luma / np.float32(2**bits - 1), 0, 1))


def _syntax(path: Path, ds: pydicom.FileDataset) -> pydicom.uid.UID:
    syntax = getattr(ds, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:  # a data set without file meta is implicit VR little endian unless pydicom saw otherwise
        implicit, little = ds.original_encoding
        syntax = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        syntax = syntax if little else pydicom.uid.ExplicitVRBigEndian
    if not syntax.is_transfer_syntax:
        raise ImageError("the transfer syntax is unknown", where=path)
    if syntax.is_encapsulated and not get_decoder(syntax).is_available:
        raise ImageError(f"no decoder for {syntax.name} is installed; see `hilum doctor`", where=path)
    return pydicom.uid.UID(syntax)
