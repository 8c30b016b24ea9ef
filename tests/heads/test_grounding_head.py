"""Heat maps against the released code of MaCo and BioViL, and what undoing the resize must give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.errors import CheckpointError, ConfigError
from hilum.heads.grounding import (
    PRESETS,
    GroundingRule,
    box_mask,
    boxes_on_input,
    centre_prior,
    grounding_rule,
    on_film,
    position_prior,
    similarities,
    smooth,
    upsample,
    word_attention,
    word_map,
)
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film


def test_maco_maps_are_the_released_ones_from_the_film_on(shared: Path) -> None:
    case = np.load(shared / "golden/grounding/maco_phrase_grounding.npz")
    weights = {k.removeprefix("ckpt/model/"): torch.from_numpy(case[k]) for k in case.files if k.startswith("ckpt/")}
    vit = VisionTransformer(ViTConfig(image_size=224, patch_size=16, channels=3, width=16, depth=1, heads=2)).eval()
    vit.load_state_dict({name: weights[name] for name in vit.state_dict()})
    record = Preprocessing(size=224, channels=3, mean=(0.4978,) * 3, std=(0.2449,) * 3)
    film = prepare_film(case["in/image_u8"], record)[None]
    with torch.no_grad():
        tokens = vit.forward_features(film)[0, 1:]
    patches = torch.nn.functional.linear(tokens, weights["img_mlp.weight"], weights["img_mlp.bias"])
    rule = grounding_rule("maco-released")
    assert rule.tau == 0.02
    prior = position_prior(weights["pos_weight_img.weight"], rule.tau)
    weighted = patches.numpy().reshape(14, 14, 12) * prior[..., None]
    np.testing.assert_allclose(weighted, case["out/patch_embedding_weighted"], rtol=1e-4, atol=1e-5)
    grid = similarities(patches, torch.from_numpy(case["out/text_embedding"]), cosine=rule.similarity == "cosine")
    grid = smooth(grid * prior, rule.sigma)
    np.testing.assert_allclose(grid[0], case["out/similarity_14x14"], rtol=1e-4, atol=1e-5)
    grown = upsample(grid, 224, 224, "bilinear")[0]
    np.testing.assert_allclose(grown[100], case["out/map_bilinear_row100"], rtol=1e-4, atol=1e-5)
    assert grown.mean() == pytest.approx(float(case["out/map_bilinear_mean"]), rel=1e-4)
    nearest = upsample(grid, 224, 224, "nearest")[0]
    assert (nearest[16:32, 208:] == grid[0, 1, 13]).all()


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    ("name", "shape", "resize", "seen"),
    [("512_480_landscape", (500, 700), "shortest", 480 / 512), ("nocrop", (40, 50), "squeeze", 1.0)],
)
def test_biovil_maps_are_the_released_ones(shared: Path, name, shape, resize, seen, how) -> None:  # type: ignore[no-untyped-def]
    case = np.load(shared / f"golden/grounding/biovil_map_{name}.npz")
    patch, text = case["in/patch"], torch.from_numpy(case["in/text"])
    raw = (patch @ text[0].numpy())[None].astype(np.float64)
    grid = smooth(raw, 1.5)
    np.testing.assert_allclose(grid[0], case["out/similarity"], rtol=1e-4, atol=1e-5)
    found = on_film(grid, shape, resize, how, seen=seen)
    np.testing.assert_allclose(found[0], case[f"out/allow_nan_upsampled_{how}"], rtol=1e-4, atol=1e-5)


def test_boxes_are_moved_as_in_the_released_evaluation(shared: Path) -> None:
    rows = np.load(shared / "golden/grounding/ms_cxr_metrics.npz")["out/box_transfer"].astype(float)
    for x, y, w, h, width, height, scale, *expected in rows:
        found = boxes_on_input(np.array([[x, y, w, h]]), (int(height), int(width)), int(scale), "pad")
        assert found[0].tolist() == expected
    squeezed = boxes_on_input(np.array([[10.0, 10, 20, 40]]), (100, 50), 200, "squeeze")
    assert squeezed.tolist() == [[40, 20, 80, 80]]
    cropped = boxes_on_input(np.array([[25.0, 0, 50, 50]]), (50, 100), 100, "shortest")
    assert cropped.tolist() == [[0, 0, 100, 100]]  # the middle square of the film is the whole input


@pytest.mark.parametrize("name", ["gloria_b3_agg_mean", "gloria_b4"])
def test_word_attention_is_that_of_gloria(shared: Path, name: str) -> None:
    golden = np.load(shared / f"golden/grounding/{name}.npz")
    case = {key: torch.from_numpy(np.array(golden[key])) for key in golden.files}
    films, texts = case["in/image_local"].flatten(2).mT, case["in/text_local"].mT  # (B, P, E) and (B, T, E)
    for film, count in enumerate(case["in/word_counts"].tolist()):
        expected = case[f"out/attention/{film}"][0]  # of the loss: [CLS] and all words but the last
        found = word_attention(films[film], texts[film, : count + 1])
        torch.testing.assert_close(found, expected.flatten(1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(word_map(films[film], texts[film, : count + 1]), expected.mean(0), rtol=1e-4)
        context = word_attention(films[film], texts[film, :3]) @ films[film]
        torch.testing.assert_close(context.T, case["out/weighted_context_first3words"][film], rtol=1e-4, atol=1e-5)
        for other, patches in enumerate(films):  # its similarity of a film and a text: 5 times the best word's cosine
            words = texts[film, 1 : count + 1]
            cosine = torch.cosine_similarity(words, word_attention(patches, words) @ patches, dim=1)
            expected = case["out/similarity_local_max"][other, film]
            torch.testing.assert_close(5 * cosine.max(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resize", ["squeeze", "shortest", "pad"])
def test_a_map_lies_where_the_film_went(resize) -> None:  # type: ignore[no-untyped-def]
    """A bright spot on the film, followed through the encoder's own resize and back."""
    film = np.zeros((60, 90), np.uint8)
    film[21:27, 48:54] = 255
    record = Preprocessing(size=128, channels=1, mean=(0.0,), std=(1.0,), resize=resize)
    square = prepare_film(film, record)
    grid = torch.nn.functional.avg_pool2d(square, 4).numpy().astype(np.float64)
    back = on_film(grid, film.shape, resize)[0]
    top, left = np.unravel_index(np.nanargmax(back), back.shape)
    assert 20 <= top <= 27
    assert 47 <= left <= 54
    mask = box_mask(boxes_on_input(np.array([[48.0, 21, 6, 6]]), film.shape, 128, resize), (128, 128))
    assert square[0].numpy()[mask].mean() > 0.8
    assert square[0].numpy()[~mask].mean() < 0.01


def test_masks_are_unions_and_stay_on_the_film() -> None:
    mask = box_mask(np.array([[0.0, 0, 4, 4], [2, 2, 4, 4], [-3, 7, 5, 9]]), (8, 8))
    assert mask.sum() == 16 + 16 - 4 + 2
    assert not box_mask(np.array([[9.0, 9, 4, 4]]), (8, 8)).any()


def test_priors_are_what_they_say() -> None:
    prior = position_prior(torch.tensor([[0.0, 0.0, 0.0, np.log(3) * 0.5]]), 0.5)
    np.testing.assert_allclose(prior, [[1 / 6, 1 / 6], [1 / 6, 3 / 6]])
    centre = centre_prior(7)
    assert centre.argmax() == 24
    np.testing.assert_allclose(centre, centre[::-1, ::-1])


def test_rules_and_grids_that_cannot_be() -> None:
    for tau in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="tau: must be more than 0"):
            GroundingRule(tau=tau)
    with pytest.raises(ConfigError, match="Did you mean 'maco-paper'"):
        grounding_rule("maco-papr")
    with pytest.raises(CheckpointError, match="no square grid"):
        similarities(torch.ones(5, 2), torch.ones(1, 2), cosine=True)
    assert PRESETS["maco-paper"].tau == 0.1
    assert (PRESETS["biovil"].similarity, PRESETS["biovil"].tau, PRESETS["biovil"].scaled) == ("cosine", None, False)


def test_cosine_ignores_length_and_dot_does_not() -> None:
    patches, sentence = torch.randn(9, 4), torch.randn(2, 4)
    long = similarities(patches * 7, sentence, cosine=True)
    np.testing.assert_allclose(long, similarities(patches, sentence, cosine=True), atol=1e-6)
    np.testing.assert_allclose(
        similarities(patches * 7, sentence, cosine=False), 7 * similarities(patches, sentence, cosine=False), rtol=1e-5
    )
