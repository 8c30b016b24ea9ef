"""MGCA and MedIM: an image encoder whose patches were aligned with words, six layers of BioClinicalBERT, projections.

Papers: https://arxiv.org/abs/2210.06044, https://doi.org/10.1007/978-3-031-43907-0_2; names of HKU-MedAI/MGCA at
680fe4a and YtongXie/MedIM at 825599e (Lightning files). The image encoder is a ViT in timm's names, or a ResNet-50 that
sees every film enlarged to 320 px. The file holds no tokenizer: without one its text side stays behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.backbone import Architecture
from hilum.models.pretrained.medim import MgcaFile, is_mgca, sort_mgca
from hilum.models.pretrained.mrm import text_config_of
from hilum.models.towers import TowersConfig
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import Layout
from hilum.released.layouts.trunk import take_trunk
from hilum.released.layouts.vit_sizes import Told, vit_config
from hilum.released.ledger import Dropped, Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

ENLARGED: Final = 320  # pixels a side that a ResNet's films are brought to
LENGTH: Final = 112  # word pieces of a report that are read
_WORDS: Final = "bert.embeddings.word_embeddings.weight"
_ALONE: Final = "projects films towards a report encoder, which the file does not hold"
_ASIDE: Final = {  # prefix -> why it is left behind
    "img_decoder_q.": "draws films, of use in pretraining only",
    "prototype_layer.": "the prototypes serve the loss alone",
}


@dataclass(frozen=True)
class ImageSide:
    """The image encoder under our names."""

    config: Architecture
    weights: Mapping[str, Tensor]
    dropped: Dropped  # names of the file


def recognise(source: Source) -> bool:
    """Whether there is an image encoder under MGCA's name."""
    return is_mgca(source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """Image encoder, and the towers where the file has its text side."""
    file = sort_mgca(source.tensors, where=source.path)
    whose = "medim" if file.decoder else "mgca"  # MedIM draws films, and cuts less off them
    pixels = record(whose, size=asked.image_size)
    image = image_side(file, source, asked, prefix="img_encoder_q.model.", size=pixels.size, enlarged=ENLARGED)
    joint = joint_side(file, source, asked)
    aside = [(key, why) for key in source.tensors for prefix, why in _ASIDE.items() if key.startswith(prefix)]
    known = {key for key, _ in file.dropped}
    aside = [(key, why) for key, why in aside if key not in known]
    return Found(
        image.config,
        image.weights,
        record(whose, size=image.config.image_size, channels=image.config.channels),
        (*image.dropped, *unread(file, source, joint), *aside, *file.dropped),
        joint=joint,
    )


def image_side(file: MgcaFile, source: Source, asked: Asked, *, prefix: str, size: int, enlarged: int) -> ImageSide:
    """The ViT or ResNet of a file.

    Args:
        file: its parts.
        source: where they come from.
        asked: heads of a ViT.
        prefix: of its names, for what is dropped.
        size: pixels a side of a ResNet's films, which no tensor tells.
        enlarged: pixels a side that a ResNet brings them to.
    """
    ledger = Ledger({prefix + key: value for key, value in file.image.items()}, source.path)
    if "conv1.weight" in file.image:
        trunk = take_trunk(ledger, prefix, image_size=size, enlarged=enlarged)
        return ImageSide(trunk.config, trunk.weights, ledger.close())
    ledger.drop(rf"{re.escape(prefix)}(head|fc_norm)\.", "the classifier of a fine-tuned file")
    weights = ledger.take_under(prefix)
    return ImageSide(vit_config(weights, Told(), asked, where=source.path), weights, ledger.close())


def joint_side(file: MgcaFile, source: Source, asked: Asked, *, local: bool = True) -> Joint | None:
    """The towers of a file; None where it has been cut down to its image side.

    Args:
        file: its parts.
        source: where they come from.
        asked: heads of the report encoder.
        local: words were aligned with patches, by projections of their own.

    Raises:
        CheckpointError: a projection is missing beside the report encoder.
    """
    if not file.text:
        return None
    names = ["image_head", "text_head", *(("image_local_head", "text_local_head") if local else ())]
    heads = {name: [file.heads.get(name, {}).get(f"{layer}.weight") for layer in (0, 3)] for name in names}
    if absent := [name for name, layers in heads.items() if any(one is None or one.ndim != 2 for one in layers)]:
        what = f"has a report encoder without {absent[0].replace('_', ' ').replace('head', 'projection')}"
        raise CheckpointError(what, where=source.path, fix="Give the whole file as it was released")
    bert = {key: value for key, value in file.text.items() if not key.startswith("bert.pooler.")}
    sizes = text_config_of(bert, asked.text_heads, where=source.path)
    weights = {f"text.{key}": value for key, value in bert.items()}
    weights |= {f"{name}.{key}": value for name in names for key, value in file.heads[name].items()}
    config = TowersConfig(
        text=sizes,
        dim=weights["image_head.3.weight"].shape[0],
        hidden=weights["image_head.0.weight"].shape[0],
        image_head="mlp",
        image_local_head="mlp" if local else "same",
        text_head="mlp",
        text_local_head="mlp" if local else "same",
        image_pool="cls",
        text_pool="first",
        preparation="gloria",  # the same words, and texts of two words or one are not lost
        length=min(LENGTH, sizes.positions),
    )
    return Joint(config, weights, bert[_WORDS].shape[0])


def unread(file: MgcaFile, source: Source, joint: Joint | None) -> Dropped:
    """What of the text side stays behind, under the names of the file."""
    known = {key for key, _ in file.dropped}
    if joint is not None:
        why = "the pooled vector takes no part"
        return tuple((key, why) for key in source.tensors if key.startswith("text_encoder") and ".pooler." in key)
    heads = [key for key in source.tensors if "_embed.head." in key and key not in known]
    return tuple((key, _ALONE) for key in heads)


LAYOUT = Layout("MGCA, MedIM", recognise, read)
