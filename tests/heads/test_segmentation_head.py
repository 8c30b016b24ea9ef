"""Heads that draw: which blocks are read, sizes, both encoders, the auxiliary head, MedIM's decoder carried over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.errors import ConfigError
from hilum.heads.segmentation import (
    Config,
    Form,
    Segmenter,
    UPerNet,
    level_widths,
    levels,
    start_decoder,
    tap_blocks,
)
from hilum.losses.segmentation import mask_loss
from hilum.models.backbone import Architecture, build_backbone
from hilum.models.batch_norm import BatchNorm
from hilum.models.resnet import ResNetConfig
from hilum.models.restoration_decoder import RestorationDecoder
from hilum.models.vit import ViTConfig

VIT = ViTConfig(image_size=64, channels=1, width=48, depth=4, heads=2, registers=2)
RESNET = ResNetConfig(image_size=64, enlarged=64, channels=1, stem=8, planes=8, blocks=(1, 1, 1, 1))
SMALL = {"width": 16, "auxiliary_width": 8, "decoder": (16, 16, 8, 8)}


def segmenter(architecture: Architecture, form: Form, **options: int) -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(build_backbone(architecture), 3, Config(form=form, **{**SMALL, **options}))  # type: ignore[arg-type]


def test_blocks_that_are_read() -> None:
    assert tap_blocks(12) == (3, 5, 7, 11)  # MRM
    assert tap_blocks(24) == (7, 11, 15, 23)
    assert tap_blocks(4) == (0, 1, 2, 3)
    assert tap_blocks(1) == (0, 0, 0, 0)


def test_levels_of_a_vision_transformer_are_its_blocks_without_the_final_norm() -> None:
    backbone = build_backbone(VIT).eval()
    x = torch.randn(2, 1, 64, 48)
    found = levels(backbone, x)
    each = backbone.forward_intermediates(x, 4)  # type: ignore[union-attr]
    for level, tokens in zip(found, each, strict=True):
        assert level.shape == (2, 48, 4, 3)
        torch.testing.assert_close(level.flatten(2).transpose(1, 2), tokens[:, 3:])


def test_levels_of_a_resnet_are_its_stages() -> None:
    backbone = build_backbone(RESNET).eval()
    x = torch.randn(2, 1, 64, 64)
    found = levels(backbone, x)
    assert [level.shape[1] for level in found] == level_widths(RESNET) == [32, 64, 128, 256]
    assert [level.shape[2] for level in found] == [16, 8, 4, 2]
    third, fourth = backbone.forward_maps(x)  # type: ignore[union-attr]
    torch.testing.assert_close(found[2], third)
    torch.testing.assert_close(found[3], fourth)


@pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("form", ["upernet", "medim"])
@pytest.mark.parametrize("maps", [1, 2])
def test_every_encoder_draws_at_the_size_of_the_film(architecture: Architecture, form: Form, maps: int) -> None:
    model = segmenter(architecture, form, maps=maps)
    x = torch.randn(2, 1, 64, 64)
    drawn, auxiliary = model.both(x)
    assert drawn.shape == (2, 3, maps, 64, 64)
    assert (auxiliary is not None) == (form == "upernet")
    loss = mask_loss(
        drawn, torch.ones(2, 3, 64, 64, dtype=torch.uint8), "focal-dice" if maps == 2 else "focal-log-dice"
    )
    (loss if auxiliary is None else loss + auxiliary.mean()).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None and p.requires_grad]
    unread = ("backbone.norm.", "backbone.layer4.")  # UPerNet takes no final norm, MedIM's head the map of stage 3
    assert all(name.startswith(unread) for name in idle), idle
    model.eval()
    assert model.both(x)[1] is None
    seen = model.probabilities(x).detach()
    assert seen.shape == (2, 3, 64, 64)
    assert 0 < float(seen.min()) <= float(seen.max()) < 1


def test_pyramid_scales_and_batch_statistics_are_ours() -> None:
    model = segmenter(VIT, "upernet")
    assert isinstance(model.head, UPerNet)
    sides = [rescale(torch.randn(2, 48, 4, 4)).shape[-1] for rescale in model.head.rescale]
    assert sides == [16, 8, 4, 2]
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    assert sum(isinstance(part, BatchNorm) for part in model.modules()) > 10
    assert "num_batches_tracked" not in "".join(model.state_dict())


def test_dropout_stands_before_the_last_convolution_and_may_be_off() -> None:
    torch.manual_seed(0)
    model = segmenter(VIT, "upernet").train()
    x = torch.randn(2, 1, 64, 64)
    assert not torch.equal(model(x), model(x))
    still = Segmenter(build_backbone(VIT), 1, Config(dropout=0.0, **SMALL)).train()  # type: ignore[arg-type]
    torch.testing.assert_close(still(x), still(x))


def test_no_auxiliary_head_where_it_is_left_out() -> None:
    assert segmenter(VIT, "upernet", auxiliary_width=0).both(torch.randn(2, 1, 64, 64))[1] is None


def test_medims_decoder_is_carried_over_and_its_outputs_are_fresh() -> None:
    torch.manual_seed(1)
    pretrained = RestorationDecoder(48, (16, 16, 8, 8), 1).state_dict()
    model = segmenter(VIT, "medim")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = start_decoder(model, pretrained, where="run")
    assert names == sorted(name for name in pretrained if not name.startswith("final_out_"))
    after = model.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed <= {f"head.decoder.{name}" for name in names}
    for name in names:
        assert torch.equal(after[f"head.decoder.{name}"], pretrained[name])


def test_a_decoder_that_does_not_fit_is_refused() -> None:
    other = RestorationDecoder(48, (32, 16, 8, 8), 1).state_dict()
    with pytest.raises(ConfigError, match="its decoder does not fit: decoder_1"):
        start_decoder(segmenter(VIT, "medim"), other, where="run")
    with pytest.raises(ConfigError, match="only MedIM's head"):
        start_decoder(segmenter(VIT, "upernet"), other, where="run")


def test_sizes_without_meaning_are_refused() -> None:
    for options in ({"maps": 3}, {"width": 0}, {"decoder": ()}, {"dropout": 1.0}):
        with pytest.raises(ConfigError):
            Config(**options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_one_step_at_full_size() -> None:
    """ViT-B/16 at 512 pixels with UPerNet of 768, as MRM's: one step of two films, finite, every part learns."""
    torch.manual_seed(0)
    model = Segmenter(build_backbone(ViTConfig(image_size=512, final_norm=False, drop_path=0.1)), 1, Config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    truth = torch.zeros(2, 1, 512, 512, dtype=torch.uint8)
    truth[:, :, 100:200, 300:400] = 1
    drawn, auxiliary = model.both(torch.randn(2, 3, 512, 512))
    assert auxiliary is not None
    loss = mask_loss(drawn, truth, "focal-dice") + 0.4 * mask_loss(auxiliary, truth, "focal-dice")
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
