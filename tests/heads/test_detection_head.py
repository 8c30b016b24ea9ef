"""The detector: transformers' LW-DETR with our encoder in the place of its own, on a ViT and on a ResNet."""

from __future__ import annotations

import pytest
import torch

from hilum.errors import ConfigError
from hilum.heads.detection import Detector, DetectorConfig, places_of, tap_blocks
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig, vit_config

TINY = ViTConfig(image_size=32, patch_size=8, channels=1, width=32, depth=2, heads=2)
SLIM = ResNetConfig(image_size=32, enlarged=64, channels=1, stem=4, planes=4, blocks=(1, 1, 1, 1))
SMALL = DetectorConfig(width=32, heads=4, feedforward=64, blocks=2, layers=2)
NOTHING = (torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))
TRUTH = (torch.tensor([0, 2]), torch.tensor([[0.5, 0.5, 0.2, 0.3], [0.3, 0.6, 0.2, 0.2]]))


def detector(backbone: torch.nn.Module | None = None, config: DetectorConfig = SMALL) -> Detector:
    torch.manual_seed(0)
    return Detector(backbone or VisionTransformer(TINY), 3, 32, config)  # type: ignore[arg-type]


@pytest.mark.parametrize("scales", [(1.0,), (2.0, 0.5)])
@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_boxes_and_gradients_everywhere(family: str, scales: tuple[float, ...]) -> None:
    backbone = VisionTransformer(TINY) if family == "vit" else ResNet(SLIM)
    config = DetectorConfig(**{**vars(SMALL), "scales": scales, "groups": 2})
    made = detector(backbone, config)
    images = torch.randn(2, 1, 32, 32)
    loss, parts = made.loss(images, [TRUTH, NOTHING])
    assert set(parts) == {"loss_class", "loss_l1", "loss_giou"}
    loss.backward()
    without = [name for name, p in made.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    logits, boxes = made.eval()(images)
    assert made.queries == made.places == {(1.0,): 16, (2.0, 0.5): 68}[scales]
    assert (logits.shape, boxes.shape) == ((2, made.queries, 3), (2, made.queries, 4))
    assert (boxes[..., 2:] > 0).all()


def test_a_batch_without_any_box_is_learned_from() -> None:
    loss, _ = detector().loss(torch.randn(2, 1, 32, 32), [NOTHING, NOTHING])
    loss.backward()
    assert torch.isfinite(loss.detach())
    assert loss.detach() > 0


def test_the_decoder_is_that_of_transformers() -> None:
    """Fed with the same maps, LW-DETR as transformers has it, its own ViT in place, says the same."""
    from transformers import LwDetrConfig, LwDetrForObjectDetection, LwDetrViTConfig

    vit = LwDetrViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=1, mlp_ratio=1, image_size=32,
                          pretrain_image_size=32, patch_size=8, num_windows=1, num_channels=1,
                          out_indices=[1, 2])  # fmt: skip
    whole = LwDetrForObjectDetection(
        LwDetrConfig(backbone_config=vit, projector_scale_factors=[1.0], d_model=32, decoder_layers=2, num_labels=3,
                     decoder_ffn_dim=64, decoder_self_attention_heads=4, decoder_cross_attention_heads=8,
                     num_queries=16, group_detr=1)
    ).eval()  # fmt: skip
    made = detector().eval()
    weights = whole.state_dict()
    ours = {
        name: weights[name.replace("model.backbone.projector.projector", "model.backbone.projector")]
        if name.startswith("model.backbone.") else weights[name]
        for name in made.decoder.state_dict()
    }  # fmt: skip
    made.decoder.load_state_dict(ours)
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        maps = torch.cat(whole.model.backbone.backbone(images).feature_maps, dim=1)
        expected, output = whole(images), made._decode(maps, None)
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.pred_boxes, expected.pred_boxes)


def test_maps_are_the_tokens_of_the_blocks_in_their_places() -> None:
    made = detector().eval()
    images = torch.randn(2, 1, 32, 32)
    tokens = made.backbone.forward_intermediates(images, 2, norm=True)  # type: ignore[union-attr, operator]
    maps = made.maps(images)
    assert maps.shape == (2, 64, 4, 4)
    torch.testing.assert_close(maps[:, :32, 1, 2], tokens[0][:, 1 + 4 + 2])
    torch.testing.assert_close(maps[:, 32:, 3, 0], tokens[1][:, 1 + 12])


def test_the_first_guess_has_the_size_it_is_told() -> None:
    made = detector().eval()
    made.start_at(torch.tensor([0.3, 0.4]))
    sides = made(torch.randn(2, 1, 32, 32))[1][..., 2:].mean(dim=(0, 1))
    torch.testing.assert_close(sides, torch.tensor([0.3, 0.4]), rtol=0.05, atol=0)


def test_taps_and_places() -> None:
    twelve = vit_config("vit_base_patch16")
    assert tap_blocks(twelve, 4) == (2, 5, 8, 11)
    assert tap_blocks(TINY, 4) == (0, 1)
    assert tap_blocks(SLIM, 4) == (2, 3)
    assert places_of(twelve, 224, (2.0, 0.5)) == 28 * 28 + 7 * 7
    assert Detector(VisionTransformer(TINY), 1, 32, DetectorConfig(width=32, heads=4, queries=5)).queries == 5


@pytest.mark.parametrize("wrong", [{"scales": ()}, {"scales": (3.0,)}, {"width": 30}, {"layers": 0}, {"groups": 0}])
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="detector"):
        DetectorConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_step_of_full_size() -> None:
    """ViT-B/16 at 224 pixels with LW-DETR's own sizes: forward, backward, and boxes."""
    made = Detector(VisionTransformer(vit_config("vit_base_patch16")), 3, 224, DetectorConfig())
    assert made.queries == 196
    loss, _ = made.loss(torch.randn(2, 3, 224, 224), [TRUTH, NOTHING])
    loss.backward()
    assert torch.isfinite(loss.detach())
    assert made.eval()(torch.randn(1, 3, 224, 224))[1].shape == (1, 196, 4)
