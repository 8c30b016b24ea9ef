"""The ResNets of CLIP: pooling as torch's attention has it, cells in the joint space, names and size, open_clip."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.clip_resnet import ClipResNet, ClipResNetConfig
from tests.models.tiny_convolutions import convolution, films, stirred
from tests.oracles.convolutions import attention_pool


def test_the_mean_asks_and_all_answer() -> None:
    model = convolution("clip_resnet").double()
    with torch.no_grad():
        last, tokens = model.forward_stages(films().double())[3], model(films().double())
        weights = model.get_submodule("attnpool").state_dict()
        torch.testing.assert_close(tokens[:, 0], attention_pool(last, weights, heads=4))
        placed = last.flatten(2).transpose(1, 2) + weights["positional_embedding"][1:]
        values = placed @ weights["v_proj.weight"].T + weights["v_proj.bias"]
        torch.testing.assert_close(tokens[:, 1:], values @ weights["c_proj.weight"].T + weights["c_proj.bias"])


def test_rn50_has_its_names_and_size() -> None:
    with torch.device("meta"):
        model = ClipResNet(ClipResNetConfig())
        larger = ClipResNet(ClipResNetConfig(image_size=288, planes=80, blocks=(4, 6, 10, 6), heads=40, output=640))
    assert sum(part.numel() for part in model.parameters()) == 38_316_896  # of OpenAI's RN50, image side
    names = model.state_dict()
    assert names["attnpool.positional_embedding"].shape == (50, 2048)
    assert {"conv3.weight", "layer2.0.downsample.0.weight", "attnpool.c_proj.bias"} <= set(names)
    assert larger.state_dict()["attnpool.positional_embedding"].shape == (82, 2560)
    assert (model.config.width, model.config.local_width, model.config.stage_widths[3]) == (1024, 1024, 2048)


def test_other_image_sizes_resize_the_positions() -> None:
    model = convolution("clip_resnet")
    with torch.no_grad():
        assert model(films(1, 100)).shape == (1, 1 + 9, 24)
        large = ClipResNet(ClipResNetConfig(**{**vars(model.config), "image_size": 128})).eval()
        weights = model.state_dict()
        table = weights["attnpool.positional_embedding"]
        grown = torch.nn.functional.interpolate(
            table[1:].reshape(1, 2, 2, -1).permute(0, 3, 1, 2), size=(4, 4), mode="bicubic"
        )
        weights["attnpool.positional_embedding"] = torch.cat([table[:1], grown[0].flatten(1).T])
        large.load_state_dict(weights)
        torch.testing.assert_close(model(films(1, 128)), large(films(1, 128)))


def test_sizes_that_make_no_network_are_refused() -> None:
    for wrong in ({"planes": 5}, {"heads": 7}, {"output": 0}, {"position_resize": "nearest"}):
        with pytest.raises(ConfigError, match=r"no ResNet of CLIP|no attention pooling"):
            ClipResNetConfig(**wrong)


@pytest.mark.timm
def test_open_clip_gives_the_same() -> None:
    from open_clip.modified_resnet import ModifiedResNet

    torch.manual_seed(0)
    theirs: Any = stirred(ModifiedResNet([1, 2, 1, 1], output_dim=48, heads=8, image_size=96, width=16))
    config = ClipResNetConfig(image_size=96, planes=16, blocks=(1, 2, 1, 1), heads=8, output=48)
    ours = ClipResNet(config).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")})
    images = films(2, 96, 3)
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[:, 0], theirs(images), rtol=1e-4, atol=1e-5)
