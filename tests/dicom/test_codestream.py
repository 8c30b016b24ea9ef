"""Sizes that compressed frames declare, against real encoders."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import get_frame

from hilum.dicom.codestream import declared_size
from tests.dicom.films import chest


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(progressive: bool) -> None:
    body = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "x" * 300  # a segment to step over
    Image.fromarray(np.zeros((37, 91), np.uint8)).save(body, "JPEG", progressive=progressive, exif=exif)
    assert declared_size(body.getvalue()) == (37, 91)
    assert declared_size(b"\xff\xd8\xff\xff" + body.getvalue()[3:]) == (37, 91)  # fill bytes before a marker


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_jpeg_2000_and_jpeg_ls(syntax: uid.UID) -> None:
    ds = chest(np.zeros((64, 91), np.uint16))
    ds.compress(syntax)
    assert declared_size(get_frame(ds.PixelData, 0, number_of_frames=1)) == (64, 91)


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\x08" + bytes(20), b"\0" * 64, b"\xff\x4f\xff\x51"]
)
def test_no_size_is_none(frame: bytes) -> None:
    assert declared_size(frame) is None
