"""ConVIRT as others trained it again: a ResNet-50 against whole reports.

Paper: https://arxiv.org/abs/2010.00747. Its own weights were never published: its numbers are the paper's alone. Read
here are re-trainings: that of HKU-MedAI/MGCA and BenchX (MGCA's parts without the `_q`, films enlarged to 299 px), with
its text side; and a trunk beside a text encoder or projections under common names, such as edreisMD/ConVIRT-pytorch's
(`res_features.N.`), the image encoder alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from hilum.models.pretrained.medim import sort_mgca
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.mgca import image_side, joint_side, unread
from hilum.released.layouts.trunk import COUNTER, take_trunk
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

ENLARGED: Final = 299  # pixels a side, in MGCA's re-training
_TRUNK: Final = re.compile(
    r"((?:module\.|model\.)*(?:img_encoder|image_encoder|encoder_img|vision_encoder|visual_encoder|img_model|image_model|"
    r"encoder|cnn|resnet|res_features)\.(?:model\.|cnn\.|resnet\.|backbone\.|encoder\.|base_model\.)?)(conv1|0)\.weight$"
)
_OUTER: Final = r"(module\.|model\.)*"
_READER: Final = _OUTER + r"(text_encoder|txt_encoder|encoder_text|text_model|bert_model|bert|language_encoder)\."
_PROJECTION: Final = _OUTER + (
    r"(((img|image|visual|text|txt|report)_)?proj(ection|ector)?(_head)?|(res|bert)_l[12]|"
    r"(img|image|text|txt)_(head|fc|embed(ding)?))\."
)
_LOCAL: Final = "projects single cells or words, which its loss never calls"
_TEXT: Final = "a report encoder whose projections are in no known order: the image encoder is read alone"
_HEADS: Final = "projects into the space shared with reports, whose text side is not read"


def recognise(source: Source) -> bool:
    """Whether there is a ResNet under the name of an image encoder, and something that read reports beside it."""
    return _mgca_style(source.tensors) or (
        _prefix(source.tensors) is not None and any(re.match(f"{_READER}|{_PROJECTION}", key) for key in source.tensors)
    )


def read(source: Source, asked: Asked) -> Found:
    """The image encoder, and the towers of MGCA's re-training."""
    if _mgca_style(source.tensors):
        return _read_mgca_style(source, asked)
    pixels = record("convirt", size=asked.image_size)
    prefix, numbered = _prefix(source.tensors) or ("", False)
    ledger = Ledger(source.tensors, source.path)
    trunk = take_trunk(ledger, prefix, numbered=numbered, image_size=pixels.size)
    ledger.drop(r".*num_batches_tracked$", COUNTER)
    ledger.drop(_READER, _TEXT)
    ledger.drop(_PROJECTION, _HEADS)
    return Found(
        trunk.config,
        trunk.weights,
        record("convirt", size=pixels.size, channels=trunk.config.channels),
        ledger.close(),
        notes=(
            "ConVIRT itself has no public weights: these are of someone's re-training",
            "pixels: ImageNet's, assumed: the file does not tell, and features suffer if it was trained on others",
        ),
    )


def _mgca_style(tensors: Mapping[str, Tensor]) -> bool:
    return {"img_encoder.model.conv1.weight", "img_encoder.global_embed.head.0.weight"} <= tensors.keys()


def _read_mgca_style(source: Source, asked: Asked) -> Found:
    """Both sides; films meet the pixels of MGCA, whose loader this re-training shares."""
    size = record("mgca", size=asked.image_size).size
    file = sort_mgca(source.tensors, where=source.path, suffix="")
    image = image_side(file, source, asked, prefix="img_encoder.model.", size=size, enlarged=ENLARGED)
    joint = joint_side(file, source, asked, local=False)
    unseen = unread(file, source, joint)
    known = {key for key, _ in (*file.dropped, *unseen)}
    local = [(key, _LOCAL) for key in source.tensors if ".local_embed." in key and key not in known]
    return Found(
        image.config,
        image.weights,
        record("mgca", size=image.config.image_size, channels=image.config.channels),
        (*image.dropped, *unseen, *local, *file.dropped),
        notes=("ConVIRT itself has no public weights: these are of MGCA's re-training",),
        joint=joint,
    )


def _prefix(tensors: Mapping[str, Tensor]) -> tuple[str, bool] | None:
    """What stands before the trunk's names, and whether they are numbers; None where there is no such trunk."""
    for key in tensors:
        found = _TRUNK.match(key)
        if found is not None:
            prefix, first = found[1], found[2]
            stage = "4" if first == "0" else "layer1"
            if tensors[key].ndim == 4 and f"{prefix}{stage}.0.conv1.weight" in tensors:
                return prefix, first == "0"
    return None


LAYOUT = Layout("ConVIRT, re-trained", recognise, read)
