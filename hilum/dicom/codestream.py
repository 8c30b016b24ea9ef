"""What a compressed frame says about its own size, read without decoding it.

A codec believes the codestream, not the DICOM header: 200 bytes may announce 65,535 x 65,535 pixels and ask for the
memory. So both are compared first.
"""

from __future__ import annotations

import struct

_NO_LENGTH = (0x01, *range(0xD0, 0xD9))  # TEM, RSTn, SOI: markers without a segment
_FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None if it is none of these.

    Sources: ITU-T T.81 B.2.2 (SOFn), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
    """
    if frame[:4] == b"\xff\x4f\xff\x51" and len(frame) >= 24:  # SOC, SIZ
        x1, y1, x0, y0 = struct.unpack(">4I", frame[8:24])
        return y1 - y0, x1 - x0
    if frame[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF or marker in _NO_LENGTH:  # a fill byte, or a marker that stands alone
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack(">2H", frame[at + 5 : at + 9])
            return rows, columns
        if marker == 0xDA:  # SOS: the frame header must have come before
            return None
        at += 2 + int(struct.unpack(">H", frame[at + 2 : at + 4])[0])
    return None
