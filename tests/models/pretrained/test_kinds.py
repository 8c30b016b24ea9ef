"""A wrong file is called by what it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hilum.models.pretrained.kinds import what_it_is
from hilum.models.resnet import ResNet, ResNetConfig


def named(*names: str, shape: tuple[int, ...] = (2, 2)) -> dict[str, Tensor]:
    return {name: torch.zeros(shape) for name in names}


def bert() -> dict[str, Tensor]:
    words = {"bert.embeddings.word_embeddings.weight": torch.zeros(100, 8)}
    return words | named(*(f"bert.encoder.layer.{n}.attention.self.query.weight" for n in range(3)))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (bert(), "text encoder of BERT's kind: 3 layers of width 8, 100 word pieces"),
        (named("base_model.model.blocks.0.attn.qkv.lora_A.weight"), "a LoRA adapter"),
        (named("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"), "a language model"),
        (named("transformer.wte.weight", "transformer.h.0.attn.c_attn.weight"), "text encoder"),
        (named("features.denseblock1.denselayer1.conv1.weight"), "a DenseNet"),
        (named("stages.0.blocks.0.conv_dw.weight"), "a ConvNeXt"),
        (named("visual.conv1.weight", "visual.transformer.resblocks.0.ln_1.weight"), "an image-text encoder"),
        (named("layers.0.blocks.0.attn.relative_position_bias_table"), "a Swin transformer"),
        (named("fc.weight", "fc.bias"), "a head of 2 tensors (fc.weight, fc.bias)"),
        (named("inc.double_conv.0.weight"), "a U-Net"),
        (named("a.b", "a.c", "d.e", "f", "g"), "no known layout: 5 tensors named a.* (2)"),
    ],
)
def test_by_names_and_shapes(tensors: dict[str, Tensor], said: str) -> None:
    assert said in what_it_is(tensors)


@pytest.mark.parametrize(
    ("blocks", "depth"), [((3, 4, 6, 3), "50"), ((3, 4, 23, 3), "101"), ((1, 1, 1, 1), "uncommon")]
)
def test_resnets_by_their_depth(blocks: tuple[int, int, int, int], depth: str) -> None:
    with torch.device("meta"):
        model = ResNet(ResNetConfig(blocks=blocks))
    assert depth in what_it_is(model.state_dict())
    assert "ResNet" in what_it_is(model.state_dict())


def test_a_configuration_is_quoted() -> None:
    assert what_it_is(named("a.b", *"cdefg"), {"model_type": "swin"}).endswith("(model_type swin)")
