"""One ONNX file: films in, every token and the encoder's vector out, at any batch and any size its patches tile.

The graph is PyTorch's own export (dynamo); position tables and rotary positions are made inside it from the size of the
film, by the encoder's own rule (`models/table_products.py`). What comes in is the normalised film: the preprocessing
record stands as JSON in the file's metadata (`hilum.preprocessing`), for whoever prepares it. Weights are inside the
file below 2 GB, the limit of its encoding, and in `model.onnx.data` beside it above (a ViT-L is 1.2 GB).
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.export import Dim

from hilum import optional
from hilum.encoder import Encoder
from hilum.exporting.formats import Written
from hilum.model_card import Loading
from hilum.models.clip_resnet import ClipResNetConfig
from hilum.models.pooling import pool_tokens
from hilum.models.vit import ViTConfig

MODEL: Final = "model.onnx"
OPSET: Final = 18
CELL: Final = 32  # pixels a side that a convolutional network shrinks to one cell
LIMIT: Final = 2**31 - 2**24  # bytes of weights that leave room for the graph in one protobuf
STATED: Final = "films come in normalised; the record that says how is in the file's metadata, hilum.preprocessing"
SUPPORT: Final = ("onnx", "onnxscript")  # what the export itself needs; running it needs onnxruntime alone


class Reading(nn.Module):
    """What the graph computes: films (B, C, H, W) -> tokens (B, 1 + R + P, D) and vector (B, D or 2D)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.model, self.pool = encoder.model, encoder.pool

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        tokens = self.model.forward_features(images)
        return tokens, pool_tokens(self.model, tokens, self.pool)


def write(encoder: Encoder, folder: Path) -> Written:
    """Write model.onnx.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    for module in SUPPORT:
        optional.require(module, extra="onnx")
    example, shapes, free = _shapes(encoder)
    network = Reading(encoder).eval()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["tokens", "vector"],
            dynamic_shapes={"images": shapes},
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(_metadata(encoder))
    weights = sum(value.numel() * value.element_size() for value in encoder.model.state_dict().values())
    program.save(folder / MODEL, external_data=weights > LIMIT)
    return Written(
        f"ONNX graph (opset {OPSET}) of {sum(p.numel() for p in encoder.model.parameters()):,} weights",
        Loading("onnx", _lines(encoder), (free, STATED)),
        () if encoder.towers is None else ("the report encoder, which this format has no place for",),
    )


def _shapes(encoder: Encoder) -> tuple[Tensor, dict[int, Any], str]:
    """An example film, which of its sides may vary, and that in words."""
    sizes = encoder.model.config
    batch = {0: Dim("batch", min=1)}
    if isinstance(sizes, ViTConfig | ClipResNetConfig):
        step, rim = (sizes.stride, sizes.patch_size - sizes.stride) if isinstance(sizes, ViTConfig) else (CELL, 0)
        rows, columns = Dim("rows", min=1, max=512), Dim("columns", min=1, max=512)
        sides = {2: step * rows + rim, 3: step * columns + rim} if rim else {2: step * rows, 3: step * columns}
        first = f"{rim} px and " if rim else ""
        free = f"any batch; any height and width of {first}a multiple of {step} px"
    else:
        step, rim = CELL, 0
        sides = {2: Dim("height", min=CELL, max=512 * CELL), 3: Dim("width", min=CELL, max=512 * CELL)}
        free = f"any batch; any height and width from {CELL} px on"
    # no side of the example equals another, or the export would take the two for one
    device = next(encoder.model.parameters()).device
    return torch.zeros(2, sizes.channels, 5 * step + rim, 3 * step + rim, device=device), batch | sides, free


def _metadata(encoder: Encoder) -> dict[str, str]:
    """What the graph cannot say of itself."""
    described = encoder.describe()
    return {
        "hilum.preprocessing": json.dumps(described["preprocessing"]),
        "hilum.architecture": json.dumps(described["architecture"]),
        "hilum.pool": encoder.pool,
        "hilum.prefix_tokens": str(encoder.model.num_prefix_tokens),
        "hilum.origin": json.dumps(described["origin"], default=str),
    }


def _lines(encoder: Encoder) -> str:
    """The Python that runs it."""
    record = encoder.preprocessing
    return "\n".join(
        [
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{{here}}/{MODEL}")',
            f"images = ...  # float32 (B, {record.channels}, {record.size}, {record.size}), made as below",
            'tokens, vector = session.run(None, {"images": images})',
        ]
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of packages it did not find and of its own internals; none of it concerns the reader."""
    names = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir", "torch.onnx._internal.exporter")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
