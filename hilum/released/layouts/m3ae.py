"""M3AE: CLIP's Vision Transformer, further trained to restore masked patches and words of figures in medical articles.

Paper: https://arxiv.org/abs/2209.07098; names of zhjohnchan/M3AE at 15b104f (a Lightning file). The image encoder is
under `vision_encoder.visual.`, without CLIP's projection and without its last block: the code builds one block fewer
than it counts (11 of ViT-B/16), and every token goes through the last norm. It meets RoBERTa only in layers that see
both sides, so films and texts share no space: the image encoder is read alone.
"""

from __future__ import annotations

from typing import Final

from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.clip_names import take_openai
from hilum.released.layouts.clip_sizes import NORM_EPS
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.vit_sizes import Told, heads_note, vit_config
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_VISION: Final = "vision_encoder."
_ANCHOR: Final = "vision_encoder.visual.class_embedding"
_PARTNER: Final = ("language_encoder.", "multi_modal_")
_ASIDE: Final = {  # pattern -> why it is left behind
    r"vision_encoder\.(token_embedding|positional_embedding|ln_final)": "left over from CLIP's text side, never called",
    r"language_encoder\.": "reads text, and meets films only in layers that see both sides",
    r"multi_modal_|modality_type_embeddings\.": "sees films and text together",
    r"(mlm|mim|itm|irtr)_head\.": "restores or matches in pretraining only",
    r"(vqa|cls)_head\.": "the head of a fine-tuned file",
    r"vision_pooler\.|.*_metric": "no part of the encoder",
}


def recognise(source: Source) -> bool:
    """Whether there is CLIP's image side beside layers that see films and text together."""
    prefix = prefix_before(source.tensors, _ANCHOR)
    return prefix is not None and any(
        key.startswith(tuple(prefix + name for name in _PARTNER)) for key in source.tensors
    )


def read(source: Source, asked: Asked) -> Found:
    """The image encoder."""
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _ANCHOR) or ""
    for pattern, why in _ASIDE.items():
        ledger.drop(rf"(module\.|model\.)?({pattern})", why)
    visual = ledger.take_under(f"{prefix}{_VISION}")
    inside = Ledger(visual, source.path)
    image = take_openai(inside).image
    told = Told(norm_eps=NORM_EPS, activation="quick_gelu")
    sizes = vit_config(image, told, asked, where=source.path)
    dropped = tuple((f"{prefix}{_VISION}{key}", why) for key, why in inside.close(""))
    return Found(
        sizes,
        image,
        record("m3ae", size=sizes.image_size, channels=sizes.channels),
        (*dropped, *ledger.close()),
        notes=heads_note(told, asked, sizes),
    )


LAYOUT = Layout("M3AE", recognise, read)
