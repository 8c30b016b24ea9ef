"""Maps of every way and head: slopes against finite differences, places against what a head was made to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.explained import Explained, explained, load_explained
from hilum.evaluation.prediction.maps import EVERY, MAKERS, WAYS, _batch_size, film_maps, names_of, resolve_way
from hilum.manifest import Manifest
from hilum.models.resnet import ResNetConfig
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing
from tests.evaluation.bright_queries import PATCH, SIDE, bright_classifier, write_chests
from tests.oracles.saliency import slopes_of, slow_grad_cam, slow_relevance, slow_rollout

RUNNER = Runner(device="cpu", batch_size=3, quiet=True)
SMALL = ViTConfig(image_size=16, patch_size=8, channels=1, width=8, depth=2, heads=2, registers=1)
GREY = Preprocessing(size=16, channels=1, mean=(0.5,), std=(0.25,))
GLORI = {"blocks": 2, "dim": 8, "heads": 2, "feedforward": 8}
HEADS = {  # name -> record
    "mean": Record(("Mass", "Air"), pool="mean"),
    "cls": Record(("Mass", "Air"), pool="cls"),
    "both": Record(("Mass", "Air"), pool="cls+mean", head="mlp"),
    "classes": Record(("Mass", "Air", "None"), targets="multiclass"),
    "finetuned": Record(("Mass", "Air"), fc_norm=True, mode="finetune"),
    "glori": Record(("Mass", "Air"), head="glori", head_config=GLORI),
    "probe": Record(("Mass", "Air"), head="chexfound-probe", head_config={"blocks": 2}),
}


def made(record: Record, *, seed: int = 0) -> Explained:
    """A classifier of random weights large enough that every head answers with a slope, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_classifier(replace(SMALL, final_norm=not record.fc_norm), record).double().eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    return explained(TrainedClassifier(model, GREY, record))


def films(count: int = 2) -> Tensor:
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def replaced_attention(model: Explained, block: int, weights: Tensor) -> Callable[[Tensor], Tensor]:
    """What the model answers where the attention of one block is what somebody else says."""
    part = model.backbone.blocks[block].attn  # type: ignore[union-attr, index]

    def attend(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        value = module._split(given[0], 0, None)[2]  # type: ignore[operator]
        return module.proj((weights @ value).transpose(1, 2).flatten(2))  # type: ignore[operator, no-any-return]

    def answer(images: Tensor) -> Tensor:
        hook = part.register_forward_hook(attend)
        try:
            with torch.no_grad():
                return model.answer(images)
        finally:
            hook.remove()

    return answer


def attention_slopes(model: Explained, image: Tensor, output: int) -> tuple[list[NDArray], list[NDArray]]:  # type: ignore[type-arg]
    """Attention (heads, N, N) of each block on one film, and the answer's slope by it, one number at a time."""
    weights = [model.backbone.attention(image, block)[0].detach() for block in range(2)]  # type: ignore[operator]
    slopes = []
    for block, own in enumerate(weights):

        def score(numbers: NDArray[np.float64], block: int = block) -> float:
            answer = replaced_attention(model, block, torch.from_numpy(numbers)[None])
            return float(answer(image)[0, output])

        slopes.append(slopes_of(score, own.numpy()))
    return [own.numpy() for own in weights], slopes


@pytest.mark.parametrize("head", ["mean", "cls", "both", "classes", "finetuned", "probe"])
def test_gradient_maps_are_relevance_with_slopes_by_finite_differences(head: str) -> None:
    model, image = made(HEADS[head]), films()[1:]
    found = MAKERS["gradient"](model, films(), None, [1])[1, 0]
    joint = slow_relevance(*attention_slopes(model, image, 1))
    read = {"mean": "patches", "classes": "patches", "finetuned": "patches", "both": "half"}.get(head, "first")
    patches = joint[model.prefix :].mean(axis=0)
    wanted = {"patches": patches, "first": joint[0], "half": (patches + joint[0]) / 2}[read]
    np.testing.assert_allclose(found, wanted[model.prefix :], rtol=1e-4, atol=1e-9)


def test_the_query_of_a_finding_counts_by_its_slope_too() -> None:
    model, image = made(HEADS["glori"]), films()[:1]
    found = MAKERS["gradient"](model, films(), None, [0, 1])[0]
    looked = model.head.attention(model.taps(image))[0].detach().numpy()  # (heads, M, P)
    for output in range(2):
        joint = slow_relevance(*attention_slopes(model, image, output))

        def score(numbers: NDArray[np.float64], output: int = output) -> float:
            weights = torch.from_numpy(numbers)[None]
            hook = model.head.attend.dropout.register_forward_hook(lambda *_: weights)
            try:
                return float(model.answer(image)[0, output].detach())
            finally:
                hook.remove()

        rows = np.maximum(looked * slopes_of(score, looked), 0).mean(axis=0)
        assert not rows[1 - output].any()
        wanted = rows[output] @ joint[model.prefix :]
        np.testing.assert_allclose(found[output], wanted[model.prefix :], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("head", list(HEADS))
def test_grad_cam_of_the_features_that_the_head_reads(head: str) -> None:
    model, image = made(HEADS[head]), films()[:1]
    found = MAKERS["cam"](model, films(), None, [1])[0, 0]
    vit = model.backbone
    assert not hasattr(vit, "conv1")
    reads_patches = head not in ("cls", "probe")
    taps = {"glori": 2}.get(head, 1)
    before = vit.forward_intermediates(image, 2, norm=reads_patches)  # type: ignore[operator]
    kept = before[-taps:] if reads_patches else before[:1]
    start, prefix = torch.cat(kept, dim=-1)[0].detach().numpy(), model.prefix

    def score(numbers: NDArray[np.float64]) -> float:
        parts = list(torch.from_numpy(numbers)[None].chunk(taps, dim=-1))
        if not reads_patches:
            hook = vit.blocks[-1].register_forward_pre_hook(lambda *_: (parts[0],))  # type: ignore[union-attr, index]
        else:
            last = vit.norm if vit.norm is not None else vit.blocks[-1]  # type: ignore[union-attr, index]
            hook = last.register_forward_hook(lambda *_: parts.pop(0))  # type: ignore[union-attr, arg-type]
        try:
            return float(model.answer(image)[0, 1].detach())
        finally:
            hook.remove()

    slopes = slopes_of(score, start)
    np.testing.assert_allclose(found, slow_grad_cam(start[prefix:], slopes[prefix:]), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("head", list(HEADS))
def test_rollout_starts_at_what_the_head_reads(head: str) -> None:
    model, image = made(HEADS[head]), films()[:1]
    blocks = [model.backbone.attention(image, block)[0].detach().numpy() for block in range(2)]  # type: ignore[operator]
    joints = [slow_rollout(blocks[:1]), slow_rollout(blocks)][-model.blocks :]
    joint, prefix = np.mean(joints, axis=0), model.prefix
    with torch.no_grad():
        found = MAKERS["rollout"](model, films(), None, [0, 1])[0]
    if head == "glori":
        looked = model.head.attention(model.taps(image))[0].detach().mean(dim=0).numpy()
        wanted = looked @ joint[prefix:, prefix:]
    else:
        patches = joint[prefix:].mean(axis=0)
        rows = {"cls": joint[0], "probe": joint[0], "both": (patches + joint[0]) / 2}
        wanted = rows.get(head, patches)[None, prefix:]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("chests") / "data")


def bright_mean() -> Explained:
    """A linear head on the mean of patch tokens, which are the mean grey of the patch: `Mass` is light, `Air` dark."""
    bright = bright_classifier()
    record = Record(("Mass", "Air"), pool="mean")
    model = build_classifier(bright.model.backbone.config, record)
    model.backbone.load_state_dict(bright.model.backbone.state_dict())
    with torch.no_grad():
        model.head.classify.weight.zero_()  # type: ignore[union-attr, operator]
        model.head.classify.weight[:, 0] = torch.tensor([1.0, -1.0])  # type: ignore[union-attr, index, operator]
    return explained(TrainedClassifier(model.eval(), bright.preprocessing, record))


def test_a_map_points_at_what_the_head_was_made_to_see(data: Path) -> None:
    model, manifest = bright_mean(), Manifest.read(data)
    boxes = np.genfromtxt(data / "boxes.csv", delimiter=",", skip_header=1, usecols=(2, 3, 4, 5))
    maps = list(film_maps(model, manifest, resolve_way(model, "auto"), runner=RUNNER))
    assert len(maps) == len(manifest)
    for heat, (left, top, width, height) in zip(maps, boxes, strict=False):  # the first half has a mass
        assert heat.shape == (2, SIDE // PATCH, SIDE // PATCH)
        assert heat[1].max() == 0  # nothing of a light film speaks for the dark finding
        row, column = np.unravel_index(heat[0].argmax(), heat[0].shape)
        assert left <= (column + 0.5) * PATCH <= left + width
        assert top <= (row + 0.5) * PATCH <= top + height


def test_batches_and_choice_of_findings_do_not_change_maps(data: Path) -> None:
    model, manifest = bright_mean(), Manifest.read(data)
    for way in WAYS:
        whole = list(film_maps(model, manifest, way, runner=replace(RUNNER, batch_size=64)))
        parts = list(film_maps(model, manifest, way, runner=replace(RUNNER, batch_size=1)))
        np.testing.assert_allclose(np.stack(whole), np.stack(parts), rtol=1e-5, atol=1e-8)
        assert len(whole[0]) == len(names_of(model, way))
    air = next(film_maps(model, manifest, "cam", wanted=("Air",), runner=RUNNER))
    both = next(film_maps(model, manifest, "cam", runner=RUNNER))
    np.testing.assert_array_equal(air, both[1:])


def test_large_films_are_explained_one_by_one() -> None:
    small = made(HEADS["mean"])
    large = replace(small, preprocessing=replace(GREY, size=1024))
    assert [_batch_size(model, "gradient", RUNNER) for model in (small, large)] == [3, 1]
    assert _batch_size(large, "cam", RUNNER) == 3  # keeps no attention


def test_what_auto_means_and_which_maps_a_finding_has() -> None:
    chosen = {head: resolve_way(made(record), "auto") for head, record in HEADS.items()}
    assert chosen == {
        "mean": "cam", "cls": "gradient", "both": "cam", "classes": "cam", "finetuned": "cam", "glori": "attention",
        "probe": "gradient",
    }  # fmt: skip
    assert names_of(made(HEADS["mean"]), "rollout") == (EVERY,)
    assert names_of(made(HEADS["glori"]), "rollout") == ("Mass", "Air")
    assert names_of(made(HEADS["classes"]), "gradient", ("Air", "Mass")) == ("Mass", "Air")
    with pytest.raises(ConfigError, match=r"unknown finding 'Mas'.*Did you mean 'Mass'"):
        names_of(made(HEADS["mean"]), "cam", ("Mas",))
    with pytest.raises(ConfigError, match="unknown way of making maps 'grad'"):
        resolve_way(made(HEADS["mean"]), "grad")


def test_a_convolution_has_grad_cam_and_no_attention(data: Path) -> None:
    torch.manual_seed(0)
    record = Record(("Mass", "Air"), pool="mean")
    sizes = ResNetConfig(64, 96, channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1))
    network = build_classifier(sizes, record).double().eval()
    nn.init.normal_(network.head.classify.weight)  # type: ignore[union-attr, arg-type]
    model = explained(TrainedClassifier(network, replace(GREY, size=64), record))
    assert resolve_way(model, "auto") == resolve_way(model, "gradient") == resolve_way(model, "cam") == "cam"
    for way in ("rollout", "attention"):
        with pytest.raises(ConfigError, match=f"a convolutional encoder has no attention, so no {way}. Use --maps cam"):
            resolve_way(model, way)
    images = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    found = MAKERS["cam"](model, images, None, [1])[0, 0]
    cells = network.backbone.forward_features(images)[0, 1:]  # type: ignore[union-attr, operator]
    head = network.head
    weight = head.classify.weight[1] / head.standardise.std  # type: ignore[union-attr, index, operator]
    torch.testing.assert_close(found, (cells @ weight / len(cells)).clamp(min=0))
    network.float()
    assert next(film_maps(model, Manifest.read(data), "cam", runner=RUNNER)).shape == (2, 3, 3)


def test_only_models_with_answers_have_maps(tmp_path: Path, encoder_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is a encoder checkpoint, not a classifier"):
        load_explained(encoder_folder)
    with pytest.raises(CheckpointError, match="holds no classifier"):
        load_explained(tmp_path)
