"""MAE's files, and what grew from them: the encoder alone, the whole training file, the fine-tuned classifier.

Paper: https://arxiv.org/abs/2111.06377; names of facebookresearch/mae at efb2a80, which CXRBase keeps. A Vision
Transformer with a fixed sine-cosine table, a decoder, or a norm behind the mean is MAE's; a learned table alone could
be anyone's. Films meet ImageNet's mean and deviation.
"""

from __future__ import annotations

from hilum.models.pretrained.mae import Pretrained, sort_mae
from hilum.models.pretrained.tensors import stripped
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.ledger import Dropped
from hilum.released.pixels import record
from hilum.released.source import Source

NEEDED = {"patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight", "blocks.0.attn.qkv.weight"}
DECODER = "the image decoder, of use in pretraining only"
HEAD = "the classifier of a fine-tuned file"


def recognise(source: Source) -> bool:
    """Whether the tensors are a masked autoencoder's."""
    return {stripped(key) for key in source.tensors} >= NEEDED


def read(source: Source, asked: Asked) -> Found:
    """The encoder; decoder and classifier are left out."""
    file = sort_mae(source.tensors, heads=asked.heads, where=source.path)
    sizes = file.config
    return Found(
        sizes,
        file.backbone,
        record("mae", size=sizes.image_size, channels=sizes.channels),
        (*left_aside(source, file), *file.dropped),
        pool="mean" if sizes.pool_norm else "cls",  # a fine-tuned file tells which its classifier read
    )


def left_aside(source: Source, file: Pretrained) -> Dropped:
    """Tensors of decoder and classifier that an encoder has no use for, under the names of the file."""
    parts = ((file.decoder, DECODER), (file.head, HEAD))
    return tuple((key, why) for part, why in parts for key in source.tensors if stripped(key) in part)


LAYOUT = Layout("MAE", recognise, read)
