"""Patients who are on two sides, found under any spelling of their id."""

from __future__ import annotations

import re

# What people put before a number to make it a patient's: p123, pat-123, patient_123, ID123 ...
_PREFIX = re.compile(r"^(?:patient|patid|pat|pid|pt|p|subject|subj|sub|s|id)(?=\d)")


def loose_id(patient_id: str) -> str:
    """One spelling for ids that may be one person: case, spaces, signs, a `p` before and zeros in front do not count.

    `00123`, `123`, `p123 ` and `Patient-123` are one; `nih-123` and `cohen-123` are two.
    """
    plain = re.sub(r"[^0-9a-z]+", "", patient_id.casefold())
    digits = _PREFIX.sub("", plain)
    return digits.lstrip("0") or "0" if digits.isdigit() else plain or patient_id.casefold().strip()
