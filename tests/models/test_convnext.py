"""ConvNeXt: names and size, the vector behind the norm, dropped paths. Parity with transformers: released tests."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hilum.errors import ConfigError
from hilum.models.convnext import ConvNext, ConvNextConfig, ResponseNorm
from tests.models.tiny_convolutions import convolution, films


def test_convnext_tiny_has_its_names_and_size() -> None:
    with torch.device("meta"):
        model = ConvNext(ConvNextConfig())
        second = ConvNext(ConvNextConfig(layer_scale=None, response_norm=True))
    assert sum(part.numel() for part in model.parameters()) == 27_820_128  # timm's, without its classifier
    assert sum(part.numel() for part in second.parameters()) == 28_635_496 - 769_000
    names = {"stem.1.bias", "stages.1.downsample.0.weight", "stages.2.blocks.8.mlp.fc2.bias", "stages.3.blocks.2.gamma"}
    assert names <= set(model.state_dict())


def test_vector_and_cells_pass_the_last_norm() -> None:
    model = convolution("convnext")
    with torch.no_grad():
        last, tokens = model.forward_stages(films())[3], model(films())
    norm = model.get_submodule("norm")
    given = {"normalized_shape": (24,), "weight": norm.weight, "bias": norm.bias, "eps": 1e-6}
    torch.testing.assert_close(tokens[:, 0], F.layer_norm(last.mean((2, 3)), **given))  # type: ignore[arg-type]
    cells = last.flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens[:, 1:], F.layer_norm(cells, **given))  # type: ignore[arg-type]


def test_response_norm_by_its_formula() -> None:
    layer = ResponseNorm(5).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    for film in range(2):
        norms = torch.stack([x[film, :, :, channel].square().sum().sqrt() for channel in range(5)])
        shares = norms / (norms.mean() + 1e-6)
        expected = layer.weight * (x[film] * shares) + layer.bias + x[film]
        torch.testing.assert_close(layer(x)[film], expected)


def test_paths_are_dropped_in_training_only_and_more_behind() -> None:
    model = convolution("convnext", drop_path=0.9)
    rates = [part.drop_path for part in model.modules() if hasattr(part, "drop_path")]
    assert rates == pytest.approx([0.0, 0.225, 0.45, 0.675, 0.9])
    with torch.no_grad():
        plain = convolution("convnext")(films())
        torch.testing.assert_close(model(films()), plain)
        block = model.get_submodule("stages.3.blocks.0").train()
        x = torch.randn(2000, 24, 1, 1)
        kept = (block(x) != x).flatten(1).any(1).float().mean()
    assert abs(float(kept) - 0.1) < 0.03


def test_sizes_that_make_no_network_are_refused() -> None:
    for wrong in ({"widths": (8, 8, 8, 0)}, {"drop_path": 1.0}, {"local_stage": 1}):
        with pytest.raises(ConfigError, match=r"no ConvNeXt|drop_path is 1\.0"):
            ConvNextConfig(**wrong)
