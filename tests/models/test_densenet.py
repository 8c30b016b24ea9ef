"""The DenseNet: the formula of the paper, torchvision's names and size."""

from __future__ import annotations

import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.densenet import DenseNet, DenseNetConfig
from tests.models.tiny_convolutions import convolution, films
from tests.oracles.convolutions import densenet_stages


def test_stages_are_those_of_the_paper() -> None:
    model = convolution("densenet").double()
    images = films(2, 75).double()
    expected = densenet_stages(images, model.state_dict(), (2, 1, 2, 1))
    with torch.no_grad():
        found, tokens = model.forward_stages(images), model(images)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(tokens[:, 0], expected[3].mean((2, 3)))
    assert min(float(stage.min()) for stage in found) == 0


def test_densenet_121_has_its_names_and_size() -> None:
    with torch.device("meta"):
        model = DenseNet(DenseNetConfig(channels=3))
    assert sum(part.numel() for part in model.parameters()) == 6_953_856  # torchvision's, without the classifier
    names = model.state_dict()
    assert {"features.conv0.weight", "features.denseblock3.denselayer24.conv2.weight"} <= set(names)
    assert names["features.transition2.conv.weight"].shape == (256, 512, 1, 1)
    assert (model.config.width, model.config.stage_widths, model.config.patches) == (1024, (256, 512, 1024, 1024), 49)


def test_sizes_that_make_no_network_are_refused() -> None:
    for wrong in ({"growth": 0}, {"local_stage": 2}, {"blocks": (1, 0, 1, 1)}):
        with pytest.raises(ConfigError, match="no DenseNet"):
            DenseNetConfig(**wrong)
