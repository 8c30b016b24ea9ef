"""BioViL: a ResNet-50 whose projected cells were aligned with whole sentences, and CXR-BERT.

Paper: https://arxiv.org/abs/2204.09817; names of hi-ml-multimodal 0.2.2. The image file holds the ResNet under
`encoder.encoder.` and the projection of its last map's cells under `projector.model.`; the mean of the projected cells
speaks for the film. The report encoder is a folder of its own (cxr_bert.py), found beside the file or given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.towers import TowersConfig
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import Layout
from hilum.released.layouts.cxr_bert import CxrBert, is_cxr_bert, read_cxr_bert
from hilum.released.layouts.trunk import COUNTER, take_trunk
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

TRUNK: Final = "encoder.encoder."
PROJECTOR: Final = "projector.model."
REDUCED: Final = "encoder.backbone_to_vit.weight"  # BioViL-T's alone
_ALONE: Final = "projects cells into the space of a report encoder, which was not given"
_NOTE: Final = "films can be compared with text once the folder of its CXR-BERT is given (--text)"


def recognise(source: Source) -> bool:
    """Whether there are BioViL's trunk and projection, or the folder of its report encoder alone."""
    named = {f"{TRUNK}conv1.weight", f"{PROJECTOR}0.weight"} <= source.tensors.keys() and REDUCED not in source.tensors
    return named or is_cxr_bert(source)


def read(source: Source, asked: Asked) -> Found:
    """The image encoder, and the towers where its report encoder is at hand.

    Raises:
        CheckpointError: the report encoder alone, without an image encoder.
    """
    if is_cxr_bert(source):
        raise CheckpointError(
            "is CXR-BERT, the report encoder of BioViL: its image encoder is a file of its own",
            where=source.path,
            fix="Name the image file (biovil_image_resnet50_proj_size_128.pt), and this folder with --text",
        )
    ledger = Ledger(source.tensors, source.path)
    pixels = record("biovil", size=asked.image_size)
    trunk = take_trunk(ledger, TRUNK, image_size=pixels.size, local_stage=4)
    text = read_cxr_bert(source, asked)
    joint = take_joint(ledger, text)
    pixels = replace(pixels, channels=trunk.config.channels)
    dropped = ledger.close(r"encoder\.|projector\.")
    return Found(trunk.config, trunk.weights, pixels, dropped, notes=notes_on(text), joint=joint)


def take_joint(ledger: Ledger, text: CxrBert | None) -> Joint | None:
    """The towers of an image file and its report encoder; without one the projection is dropped."""
    ledger.drop(r"projector\..*num_batches_tracked$", COUNTER)
    ledger.drop(r"classifier\.", "the classifier of a fine-tuned file")
    if text is None:
        ledger.drop(r"projector\.", _ALONE)
        return None
    weights: dict[str, Tensor] = {f"text.{key}": value for key, value in text.bert.items()}
    weights |= {f"text_head.{key}": value for key, value in text.head.items()}
    for key, value in ledger.take_under(PROJECTOR).items():
        weights[f"image_head.{key}"] = value.flatten(1) if value.ndim == 4 else value  # convolutions of width 1
    last, width = weights.get("image_head.3.weight"), text.head["3.weight"].shape[0]
    if last is None or last.shape[0] != width:
        raise CheckpointError(
            f"projects films to {0 if last is None else last.shape[0]} features, and its report encoder gives {width}",
            where=ledger.where,
            fix="Give the report encoder that it was released with",
        )
    config = TowersConfig(
        text=text.config,
        dim=width,
        hidden=weights["image_head.0.weight"].shape[0],
        image_head="conv-mlp",
        text_head="dense-norm",
        image_pool="projected-mean",
        text_pool="first",
        preparation="cxr-bert",
        length=text.config.positions,
    )
    return Joint(config, weights, text.vocabulary, text.tokenizer)


def notes_on(text: CxrBert | None) -> tuple[str, ...]:
    """What a model card says of the report encoder."""
    return (_NOTE,) if text is None else (f"report encoder: {text.folder.name}", *text.dropped)


LAYOUT = Layout("BioViL", recognise, read)
