"""The heads of MGCA and MedIM, for tests of what reads films and reports."""

from __future__ import annotations

from typing import Any, Final

MLP_HEADS: Final[Any] = dict.fromkeys(("image_head", "image_local_head", "text_head", "text_local_head"), "mlp")
