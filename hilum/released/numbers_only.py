"""Encoders of the papers' tables whose weights nobody released: their published numbers are all there is.

The numbers are in `hilum benchmark --table`. What is marked "from memory" was not found released and could not be
verified here.
"""

from __future__ import annotations

from typing import Final

# method -> why no file of it can be read
NUMBERS_ONLY: Final = {
    "CXRBase": "its weights are announced in MAE's layout; none could be verified: such a file loads as mae",
    "MedIM": "its repository has no weights; encoders trained with `hilum pretrain medim` load as ours",
    "ConVIRT": "its authors released none; re-trainings load as convirt",
    "GLoRIA (MIMIC-CXR), GLoRIA (ViT-B/16)": "re-trainings by MRM's and MaCo's authors; the CheXpert one is gloria",
    "C2L, C3L, C4L": "none in a layout that is read here (from memory)",
    "Context Restoration": "a baseline trained anew by the papers that compare with it (from memory)",
    "Model Genesis, TransVW": "U-Nets given out on request (from memory)",
    "M-FLAG, Med-UniC": "none in a layout that is read here (from memory)",
}
