"""The published protocols of localization, as far as they are known, with our detector in place of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PRESETS: Final[dict[str, Mapping[str, Any]]] = {
    # MaCo, arXiv 2309.05904: code only, Mask R-CNN with a ViTDet-B trunk; here LW-DETR learns by the same schedule.
    "maco-rsna-boxes": {
        "size": 1024,  # pixels a side
        "flip": 0.5,
        "scale": (0.8, 1.2),  # jitter, then a cut at random
        "batch_size": 32,
        "steps": 5600,  # 50 "epochs" of 3,584 films
        "lr": 5e-4,  # with all films; a comment in the code suggests 3e-4
        "warmup": 250 / 5600,  # 250 steps
        "min_lr": 5e-6,  # cosine down to 0.01 of the peak
        "weight_decay": 0.05,
        "layer_decay": 0.7,
    },
    # CXRBase, arXiv 2410.08861, Table 2: 50 shots a finding, AP50; detector, rates and negatives are not stated. Batch
    # and epochs are those of its fine-tuning (Methods).
    "cxrbase-50-shot": {"shots": 50, "batch_size": 16, "epochs": 50},
}
