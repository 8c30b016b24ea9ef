"""The face that all convolutional encoders show: tokens, maps, sizes at any image size, evaluation, training."""

from __future__ import annotations

import pytest
import torch

from tests.models.tiny_convolutions import TINY, convolution, films

FAMILIES = sorted(TINY)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vector_stands_first_and_the_cells_behind(family: str) -> None:
    model = convolution(family)
    images = films()
    with torch.no_grad():
        tokens = model(images)
        local, cells = model.forward_maps(images)
        vector, read = model.read_map(model.forward_stages(images)[-1])
    assert tokens.shape == (2, 1 + 4, model.config.width)
    assert model.num_prefix_tokens == 1
    assert model.config.class_token
    torch.testing.assert_close(tokens[:, 0], vector)
    torch.testing.assert_close(tokens[:, 1:], cells.flatten(2).transpose(1, 2))
    torch.testing.assert_close(read, cells)
    torch.testing.assert_close(model.pooled_mean(tokens), cells.mean((2, 3)))
    if family in ("resnet", "densenet"):
        torch.testing.assert_close(tokens[:, 0], cells.mean((2, 3)))
    assert local.shape[1:] == (model.config.local_width, *model.config.grid)
    assert model.config.patches == local.shape[2] * local.shape[3]


@pytest.mark.parametrize("size", [64, 65, 71, 95, 100, 127])
@pytest.mark.parametrize("family", FAMILIES)
def test_maps_have_the_sizes_that_the_configuration_tells(family: str, size: int) -> None:
    model = convolution(family)
    with torch.no_grad():
        stages = model.forward_stages(films(1, size))
        tokens = model(films(1, size))
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (width, side, side)
        for width, side in zip(model.config.stage_widths, model.config.stage_sides(size), strict=True)
    ]
    rows, columns = model.config.cells_at(size)
    assert tokens.shape[1] == 1 + rows * columns


@pytest.mark.parametrize("family", FAMILIES)
def test_the_local_map_is_the_last_or_the_one_before(family: str) -> None:
    for stage in (3, 4):
        model = convolution(family, local_stage=stage)
        with torch.no_grad():
            local, cells = model.forward_maps(films())
            stages = model.forward_stages(films())
        torch.testing.assert_close(local, cells if stage == 4 else stages[2])
        side = model.config.stage_sides(64)[stage - 1]
        assert local.shape[1:] == (model.config.local_width, side, side)


@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_stand_in_evaluation_and_move_in_training(family: str) -> None:
    model = convolution(family)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        alone = model(films(4)[:1])
        torch.testing.assert_close(model(films(4))[:1], alone)  # a film's features are its own
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.train()(films(4))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}
    statistics = {name for name in before if "running" in name}
    assert moved == statistics
    assert bool(statistics) == (family != "convnext")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_takes_part(family: str) -> None:
    model = convolution(family).train()
    model(films(4)).square().sum().backward()
    without = [name for name, part in model.named_parameters() if part.grad is None or not part.grad.any()]
    assert without == [name for name in without if name == "attnpool.k_proj.bias"]  # it moves all answers alike
    model.freeze_reader(cells=True)
    frozen = {name.removesuffix(".weight") for name, part in model.named_parameters() if not part.requires_grad}
    asking = {"attnpool.q_proj", "attnpool.q_proj.bias", "attnpool.k_proj", "attnpool.k_proj.bias"}
    assert frozen == (asking if family == "clip_resnet" else set())
    model.freeze_reader()
    frozen = {name.split(".")[0] for name, part in model.named_parameters() if not part.requires_grad}
    assert frozen == {"convnext": {"norm"}, "clip_resnet": {"attnpool"}}.get(family, set())
