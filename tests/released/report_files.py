"""Stand-ins for files of image and report encoders under their authors' names, of any size, random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.models.backbone import build_backbone
from hilum.models.towers import Towers
from hilum.released.found import Found
from hilum.released.source import Source
from hilum.transforms.text import WordPiece

RESNET_50 = (3, 4, 6, 3)
SENTENCES = ("there is a small left pleural effusion", "no acute cardiopulmonary process", "mass in the right lung")
NAMES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


@dataclass
class Maker:
    """Random tensors of one device; the meta device has shapes alone."""

    device: str = "cpu"
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __call__(self, *shape: int, about: float = 0.0, scale: float = 0.2) -> Tensor:
        if self.device == "meta":
            return torch.empty(shape, device="meta")
        return about + scale * torch.randn(shape, generator=self.generator)

    def positive(self, *shape: int) -> Tensor:
        return self(*shape) if self.device == "meta" else 0.5 + torch.rand(shape, generator=self.generator)

    def linear(self, name: str, width: int, out: int, *, bias: bool = True, axes: int = 0) -> dict[str, Tensor]:
        found = {f"{name}.weight": self(out, width, *(1,) * axes, scale=width**-0.5)}
        return found | ({f"{name}.bias": self(out)} if bias else {})

    def norm(self, name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": self(width, about=1.0), f"{name}.bias": self(width)}

    def batch_norm(self, name: str, width: int, *, affine: bool = True) -> dict[str, Tensor]:
        found = self.norm(name, width) if affine else {}
        found |= {f"{name}.running_mean": self(width), f"{name}.running_var": self.positive(width)}
        return found | {f"{name}.num_batches_tracked": torch.tensor(3)}

    def convolution(self, name: str, before: int, after: int, side: int) -> dict[str, Tensor]:
        return {f"{name}.weight": self(after, before, side, side, scale=(2 / before / side / side) ** 0.5)}


def resnet_file(
    make: Maker,
    prefix: str,
    *,
    blocks: tuple[int, ...] = (1, 2, 1, 1),
    stem: int = 6,
    planes: int = 2,
    fc: int = 0,
    numbered: bool = False,
) -> dict[str, Tensor]:
    """torchvision's ResNet of bottleneck blocks under a prefix."""
    file = make.convolution("conv1", 3, stem, 7) | make.batch_norm("bn1", stem)
    before = stem
    for stage, count in enumerate(blocks):
        inside, after = planes * 2**stage, 4 * planes * 2**stage
        for number in range(count):
            name = f"layer{stage + 1}.{number}"
            shapes = ((before, inside, 1), (inside, inside, 3), (inside, after, 1))
            for place, shape in enumerate(shapes, start=1):
                file |= make.convolution(f"{name}.conv{place}", *shape) | make.batch_norm(f"{name}.bn{place}", shape[1])
            if number == 0:
                file |= make.convolution(f"{name}.downsample.0", before, after, 1)
                file |= make.batch_norm(f"{name}.downsample.1", after)
            before = after
    if fc:
        file |= make.linear("fc", before, fc)
    if numbered:
        file = {f"{NAMES[key.split('.')[0]]}.{key.split('.', 1)[1]}": value for key, value in file.items()}
    return {prefix + key: value for key, value in file.items()}


def bert_file(
    make: Maker,
    prefix: str,
    *,
    vocabulary: int,
    width: int = 16,
    depth: int = 2,
    positions: int = 40,
    pooler: bool = False,
) -> dict[str, Tensor]:
    """BERT's names under a prefix, feed-forward layers four times as wide."""
    file = {
        "embeddings.word_embeddings.weight": make(vocabulary, width),
        "embeddings.position_embeddings.weight": make(positions, width),
        "embeddings.token_type_embeddings.weight": make(2, width),
        "embeddings.position_ids": torch.arange(positions)[None],
        **make.norm("embeddings.LayerNorm", width),
    }
    for number in range(depth):
        layer = f"encoder.layer.{number}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            file |= make.linear(layer + name, width, width)
        file |= make.linear(f"{layer}intermediate.dense", width, 4 * width)
        file |= make.linear(f"{layer}output.dense", 4 * width, width)
        file |= make.norm(f"{layer}attention.output.LayerNorm", width) | make.norm(f"{layer}output.LayerNorm", width)
    if pooler:
        file |= make.linear("pooler.dense", width, width)
    return {prefix + key: value for key, value in file.items()}


def mgca_heads(make: Maker, side: str, *, whole: int, local: int, hidden: int, dim: int) -> dict[str, Tensor]:
    """The two projections of an encoder of MGCA; local ones are convolutions of width 1."""
    file: dict[str, Tensor] = {}
    for kind, width, axes in (("global", whole, 0), ("local", local, 1)):
        head = f"{side}.{kind}_embed.head."
        file |= make.linear(f"{head}0", width, hidden, axes=axes) | make.batch_norm(f"{head}1", hidden)
        file |= make.linear(f"{head}3", hidden, dim, axes=axes) | make.batch_norm(f"{head}4", dim, affine=False)
    return file


def words(folder: Path, vocabulary: int = 100, more: Sequence[str] = ()) -> WordPiece:
    """A tokenizer of the sentences above as a BERT folder has it, filled up to a number of entries.

    Args:
        folder: where its vocab.txt goes.
        vocabulary: number of entries.
        more: words that it has besides, as far as there is room.
    """
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", "##al", "##less", "pleur", "heart"]
    pieces += sorted({word for text in SENTENCES for word in text.split()})
    pieces += [word for word in dict.fromkeys(more) if word not in pieces]
    pieces += [f"filler{number}" for number in range(vocabulary - len(pieces))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces[:vocabulary]) + "\n")
    return WordPiece.read(folder)


def source_of(tensors: Mapping[str, Tensor], name: str = "file.pt", **more: object) -> Source:
    """A source that was never on disk."""
    return Source(Path(name), tensors, **more)  # type: ignore[arg-type]


def fits_on_meta(found: Found) -> nn.Module:
    """Build what was found on the meta device and compare every name and shape; gives the backbone."""
    with torch.device("meta"):
        model = build_backbone(found.architecture)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in found.image.items()
    }
    if found.joint is not None:
        sizes = model.config
        local = getattr(sizes, "local_width", None)
        with torch.device("meta"):
            towers = Towers(found.joint.config, sizes.width, sizes.patches, found.joint.vocabulary, local_width=local)
        assert {key: value.shape for key, value in towers.state_dict().items()} == {
            key: value.shape for key, value in found.joint.weights.items()
        }
    return model
