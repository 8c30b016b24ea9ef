"""The shared image branch: its resize, its targets at 2x, its pictures, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.errors import ConfigError
from hilum.losses.reconstruction import standardise_patches
from hilum.methods.masked_image import MaskedImage, MaskedViews, is_grey, normalised_films, target_patches
from hilum.models.masking import order_by_noise
from hilum.models.patches import patchify
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import IMAGE, MASK_NOISE, Preprocessing
from hilum.transforms.image import normalise
from tests.oracles.mae import mask_of, reconstruction_loss
from tests.oracles.mrm import shrink

ENCODER = ViTConfig(image_size=16, patch_size=4, width=8, depth=1, heads=2, channels=1)
RECORD = Preprocessing(size=16, channels=1, mean=(0.5,), std=(0.25,))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("side", [8, 20])
def test_the_encoders_input_is_the_resize_by_loops(side: int, antialias: bool) -> None:
    image = MaskedImage(4, scale=2, antialias=antialias)
    films = torch.randn(2, 1, side, side, dtype=torch.float64)
    wanted = torch.stack([shrink(film, side // 2, antialias) for film in films])
    torch.testing.assert_close(image.shrink(films), wanted, rtol=1e-6, atol=1e-7)
    assert MaskedImage(4).shrink(films) is films


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("norm_pix", [True, False])
@pytest.mark.parametrize("loss_on", ["masked", "all"])
def test_the_loss_is_that_of_patches_at_the_targets_resolution(scale: int, norm_pix: bool, loss_on: str) -> None:
    torch.manual_seed(0)
    image = MaskedImage(4, 0.75, norm_pix, scale=scale, loss_on=loss_on)  # type: ignore[arg-type]
    backbone = VisionTransformer(ENCODER).double()
    decoder = image.decoder(ENCODER, width=8, depth=1, heads=2).double()
    films, noise = torch.randn(3, 1, 16 * scale, 16 * scale, dtype=torch.float64), torch.rand(3, 16)
    encoded = image.encode(backbone, films, noise)
    assert encoded.visible == encoded.patches.shape[1] == 4
    predicted = decoder.predict_all(encoded.latent, encoded.order)
    _, hidden = mask_of(noise, 0.75)
    chosen = torch.ones_like(hidden) if loss_on == "all" else hidden
    wanted = reconstruction_loss(predicted, films, chosen, 4 * scale, norm_pix)
    torch.testing.assert_close(image.loss(decoder, encoded), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_perfect_prediction_draws_the_film(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = MaskedImage(4, scale=scale)
    decoder = image.decoder(ENCODER, width=8, depth=1, heads=2)
    films = torch.randn(2, 1, 16 * scale, 16 * scale).clamp(-1, 1)
    encoded = image.encode(VisionTransformer(ENCODER), films, torch.rand(2, 16))
    truth = standardise_patches(patchify(films, 4 * scale))
    monkeypatch.setattr(decoder, "predict_all", lambda latent, order: truth)
    pictures = image.pictures(decoder, encoded, RECORD)
    torch.testing.assert_close(pictures["reconstructed"], pictures["original"], atol=1e-4, rtol=0)
    torch.testing.assert_close(pictures["original"], films * 0.25 + 0.5)
    grey = (pictures["masked"] == 0.5).float().mean()
    assert 0.7 < grey < 0.8


def test_with_nothing_hidden_everything_is_seen_and_drawn() -> None:
    image = MaskedImage(4, 0.0, scale=2, loss_on="all")
    backbone = VisionTransformer(ENCODER)
    decoder = image.decoder(ENCODER, width=8, depth=1, heads=2)
    films = torch.randn(2, 1, 32, 32)
    noise = torch.rand(2, 16)
    encoded = image.encode(backbone, films, noise)
    assert encoded.visible == 16
    whole = backbone(image.shrink(films))
    order = order_by_noise(noise)[..., None].expand(-1, -1, 8)
    torch.testing.assert_close(encoded.patches, whole[:, 1:].gather(1, order), rtol=1e-4, atol=1e-5)
    image.loss(decoder, encoded).backward()
    assert all(p.grad is not None for p in (*decoder.parameters(), *backbone.parameters()) if p.requires_grad)
    pictures = image.pictures(decoder, encoded, RECORD)
    assert torch.equal(pictures["masked"], pictures["original"])
    assert not torch.equal(pictures["reconstructed"], pictures["original"])


def test_other_tokens_may_be_decoded_in_place_of_the_encoders() -> None:
    image = MaskedImage(4)
    decoder = image.decoder(ENCODER, width=8, depth=1, heads=2)
    encoded = image.encode(VisionTransformer(ENCODER), torch.randn(2, 1, 16, 16), torch.rand(2, 16))
    assert torch.equal(image.loss(decoder, encoded, encoded.latent), image.loss(decoder, encoded))
    assert not torch.equal(image.loss(decoder, encoded, encoded.latent + 1), image.loss(decoder, encoded))


def test_views_are_crops_at_the_targets_resolution() -> None:
    views = MaskedViews(32, 16, (1.0, 1.0), flip=1.0)
    film = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    for seed in range(30):
        sample = views(film, np.random.default_rng(seed))
        assert sample[IMAGE].shape == (1, 32, 32)
        assert sample[MASK_NOISE].shape == (16,)
    assert any(
        np.array_equal(views(film, np.random.default_rng(seed))[IMAGE][0].numpy(), film[:, ::-1]) for seed in range(60)
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MaskedImage(4, 1.0), "mask_ratio is 1.0"),
        (lambda: MaskedImage(4, 0.0), "loss_on is 'masked' and must be all where nothing is hidden"),
        (lambda: MaskedImage(4, scale=0), "scale is 0"),
        (lambda: MaskedImage(4, loss_on="some"), "loss_on is 'some'"),  # type: ignore[arg-type]
        (lambda: MaskedImage(4, 0.97).decoder(ENCODER, width=8, depth=1, heads=2), "none of 16 patches visible"),
        (lambda: MaskedViews(16, 16, (0.0, 1.0), 0.0), "crop_scale is"),
        (lambda: MaskedViews(16, 16, (0.2, 1.0), -0.1), "flip is"),
    ],
)
def test_values_without_meaning_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


@pytest.mark.parametrize("scale", [1, 2])
def test_one_plane_seen_thrice_gives_the_numbers_of_three(scale: int) -> None:
    torch.manual_seed(0)
    record = Preprocessing(size=16, channels=3, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    films = torch.randint(0, 256, (2, 1, 16 * scale, 16 * scale), dtype=torch.uint8)
    grey, copied = normalised_films(films, record), normalise(films, record)
    assert is_grey(grey)
    assert not is_grey(copied)
    assert torch.equal(grey, copied)
    image = MaskedImage(4, scale=scale)
    torch.testing.assert_close(image.shrink(grey), image.shrink(copied))
    chosen = torch.tensor([[3, 0], [5, 15]])
    for some in (chosen, None):
        assert torch.equal(target_patches(grey, 4 * scale, some), patchify(copied, 4 * scale, some))
    coloured = replace(record, mean=(0.4, 0.4, 0.5))
    assert torch.equal(normalised_films(films, coloured), normalise(films, coloured))
    assert normalised_films(copied, record) is copied


def test_overlapping_patches_are_refused() -> None:
    encoder = ViTConfig(image_size=32, patch_size=8, patch_stride=4, width=12, depth=1, heads=3)
    with pytest.raises(ConfigError, match="patches that overlap cannot be hidden"):
        MaskedImage(8).decoder(encoder, width=8, depth=1, heads=2)
