"""GLoRIA: a ResNet-50 whose cells were aligned with the words of a report, and BioClinicalBERT.

Paper: https://doi.org/10.1109/ICCV48922.2021.00391; names of marshuang80/gloria at 416466a. Every film is enlarged to
299 px before the first convolution; the cells of stage 3 are local, the mean of stage 4 global, each with one linear
layer. A word is the sum of its pieces in the last four layers, a report the sum of its words over the padded length:
what was read is divided by `word_num`, not by the number of words, which no cosine sees. The file holds no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mrm import text_config_of
from hilum.models.towers import TowersConfig
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import Layout
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.trunk import COUNTER, take_trunk
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_GLOBAL: Final = "img_encoder.global_embedder.weight"
_WORDS: Final = "bert.embeddings.word_embeddings.weight"
ENLARGED: Final = 299  # pixels a side that every film is brought to
LAYERS: Final = 4  # last layers of the report encoder that are added up, where the file does not say
LENGTH: Final = 97  # word pieces of a report, where the file does not say


def recognise(source: Source) -> bool:
    """Whether there is a ResNet with GLoRIA's projections."""
    prefix = prefix_before(source.tensors, _GLOBAL)
    return prefix is not None and f"{prefix}img_encoder.model.conv1.weight" in source.tensors


def read(source: Source, asked: Asked) -> Found:
    """Image encoder, and the towers where the file has its report encoder."""
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _GLOBAL) or ""
    pixels = record("gloria", size=asked.image_size)
    trunk = take_trunk(ledger, f"{prefix}img_encoder.model.", image_size=pixels.size, enlarged=ENLARGED)
    joint = _joint(ledger, prefix, source, asked)
    ledger.drop(r".*num_batches_tracked$", COUNTER)
    if joint is None:
        ledger.drop(
            r"(.*\.)?img_encoder\.(global|local)_embedder\.", "projects films towards a report encoder, not here"
        )
    ledger.drop(r"(.*\.)?classifier\.", "the classifier of a fine-tuned file")
    pixels = replace(pixels, channels=trunk.config.channels)
    return Found(trunk.config, trunk.weights, pixels, ledger.close(r"(.*\.)?(img_encoder|text_encoder)\."), joint=joint)


def _joint(ledger: Ledger, prefix: str, source: Source, asked: Asked) -> Joint | None:
    """Projections and report encoder; None where the file has been cut down to its image side."""
    text = f"{prefix}text_encoder.model."
    if not ledger.has(f"{text}embeddings.word_embeddings.weight"):
        return None
    layers = _told(source.extra, "model.text.last_n_layers", LAYERS)
    ledger.drop(r"(.*\.)?text_encoder\..*position_ids$", "the numbers 0, 1, 2, ...")
    if layers > 1:
        ledger.drop(r"(.*\.)?text_encoder\.model\.pooler\.", "the pooled vector takes no part: words are added up")
    bert = {f"bert.{key}": value for key, value in ledger.take_under(text).items()}
    sizes = text_config_of(bert, asked.text_heads, where=source.path)
    if layers > sizes.depth:
        raise CheckpointError(f"adds up {layers} last layers and has {sizes.depth}", where=source.path)
    image = f"{prefix}img_encoder."
    weights: dict[str, Tensor] = {f"text.{key}": value for key, value in bert.items()}
    for part in ("weight", "bias"):
        weights[f"image_head.{part}"] = ledger.take(f"{image}global_embedder.{part}")
    local = ledger.take(f"{image}local_embedder.weight")
    weights["image_local_head.weight"] = local.flatten(1) if local.ndim == 4 else local  # a convolution of width 1
    length = min(_told(source.extra, "data.text.word_num", LENGTH), sizes.positions)
    if weights["image_head.weight"].ndim != 2:
        raise CheckpointError("its global_embedder is no matrix", where=source.path, fix="Give the whole file")
    config = TowersConfig(
        text=sizes,
        dim=weights["image_head.weight"].shape[0],
        image_head="linear",
        image_local_head="matrix",
        text_head="none",
        text_local_head="none",
        image_pool="cls",
        text_pool="word-mean" if layers > 1 else "pooler",
        text_layers=layers,
        preparation="gloria",
        length=length,
    )
    return Joint(config, weights, bert[_WORDS].shape[0])


def _told(extra: Mapping[str, Any], path: str, default: int) -> int:
    """A count among the hyper-parameters that lie in the file, or a default."""
    value: Any = extra.get("hyper_parameters", {})
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and value > 0 else default


LAYOUT = Layout("GLoRIA", recognise, read)
