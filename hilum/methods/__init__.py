"""Training objectives, one a file, and the table that names them."""

from __future__ import annotations

from typing import Final

METHODS: Final[dict[str, str]] = {
    "mae": "hilum.methods.mae:MAE",
}
