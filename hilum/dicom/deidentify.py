"""Header ids become keyed hashes; the key stays apart from the data.

The same id under the same key gives the same hash, so studies and patients stay together and splits keep working; who
has the data but not the key cannot test a guess. Whoever loses the key can no longer join new films to old ones.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, Literal

from hilum.errors import UserError

KEY_NAME = "hilum.key"
_LENGTH = 20  # hex digits: 80 bits, so a billion ids meet with probability 4e-7

IdKind = Literal["patient", "study", "image", "accession", "site", "device", "file"]


def load_key(path: Path) -> bytes:
    """Read the key, or make one there (32 random bytes in hex, readable by its owner only).

    Raises:
        UserError: the file is no key of ours, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        fix = "Give a place that can be written with --key FILE"
        raise UserError(f"the key cannot be made ({error.strerror})", where=path, fix=fix) from error
    else:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise UserError("not a key file", where=path, fix="Give the key of this archive with --key FILE") from error
    if len(key) != 32:
        raise UserError("not a key file (it holds 64 hex digits)", where=path, fix="Give another file with --key")
    return key


def pseudonym(key: bytes, kind: IdKind, value: str) -> str:
    """The keyed hash that stands for an id; outer spaces and case do not count. "" stays ""."""
    value = value.strip().casefold()
    if not value:
        return ""
    return hmac.new(key, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()[:_LENGTH]


def deidentified(facts: dict[str, Any], key: bytes) -> dict[str, Any]:
    """Facts of `hilum.dicom.facts.header_facts` without anything that names a person or a place.

    A film without a patient id belongs to the patient of its study, one without a study to a patient of its own.
    """
    study = facts["study_uid"] or facts["sop_uid"]
    vendor = facts["vendor"] or "device"
    model = pseudonym(key, "device", facts["model"].strip("|"))
    return {
        "image_id": pseudonym(key, "image", facts["sop_uid"]),
        "study_id": pseudonym(key, "study", study),
        "patient_id": pseudonym(key, "patient", facts["patient_id"] or study),
        "accession": pseudonym(key, "accession", facts["accession_number"]),
        "site": pseudonym(key, "site", facts["institution"]),
        "device": f"{vendor} {model[:6]}" if model else "",
        **{name: facts[name] for name in ("view_position", "sex", "age")},
    }
