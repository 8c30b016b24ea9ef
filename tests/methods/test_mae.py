"""The masked autoencoder: golden vectors of the official code, the loop oracle, views, pictures, starting weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.errors import CheckpointError, ConfigError
from hilum.methods.mae import MAE, PRESETS, Config
from hilum.models.masking import order_by_noise
from hilum.models.patches import patchify
from hilum.models.vit import VisionTransformer
from tests.oracles import mae as oracle

SMALL = Config(
    image_size=16,
    vit={"patch_size": 4, "width": 8, "depth": 2, "heads": 2},
    decoder_width=12,
    decoder_depth=2,
    decoder_heads=3,
)


def official(model: MAE) -> dict[str, Tensor]:
    """The model's parameters under the official names."""
    return dict(model.backbone.named_parameters()) | dict(model.decoder.named_parameters())


def randomised(config: Config) -> MAE:
    torch.manual_seed(0)
    model = MAE(config)
    for name, parameter in official(model).items():
        if "pos_embed" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def golden_model(shared: Path, case: str) -> tuple[MAE, Any, dict[str, Any]]:
    golden = np.load(shared / f"golden/mae/{case}.npz")
    facts = json.loads((shared / f"golden/mae/{case}.json").read_text())
    made = facts["config"]
    model = MAE(
        Config(
            image_size=made["img_size"],
            channels=made["in_chans"],
            vit={
                "patch_size": made["patch_size"],
                "width": made["embed_dim"],
                "depth": made["depth"],
                "heads": made["num_heads"],
                "mlp_ratio": made["mlp_ratio"],
            },
            decoder_width=made["decoder_embed_dim"],
            decoder_depth=made["decoder_depth"],
            decoder_heads=made["decoder_num_heads"],
            mask_ratio=made["mask_ratio"],
        )
    )
    prefix = "ckpt/model/"
    weights = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
    model.backbone.load_state_dict({key: weights[key] for key in model.backbone.state_dict()})
    model.decoder.load_state_dict({key: weights[key] for key in model.decoder.state_dict()})
    assert len(weights) == len(official(model))
    return model, golden, facts


@pytest.mark.parametrize("case", ["pretrain_r75", "pretrain_r50_p8"])
def test_golden_masked_forward(shared: Path, case: str) -> None:
    model, golden, facts = golden_model(shared, case)
    images, noise = torch.from_numpy(golden["in/imgs"]), torch.from_numpy(golden["in/noise"])
    visible = facts["config"]["len_keep"]
    order = order_by_noise(noise)
    mask = torch.ones_like(noise).scatter(1, order[:, :visible], 0.0)
    assert np.array_equal(order.argsort(1).numpy(), golden["out/ids_restore"])
    assert np.array_equal(mask.numpy(), golden["out/mask"])
    rows = patchify(images, facts["config"]["patch_size"])
    assert np.array_equal(rows.numpy(), golden["out/patchify"])
    latent = model.backbone.forward_masked(images, order[:, :visible])
    predicted = model.decoder.predict_all(latent, order)
    for got, name in ((latent, "latent"), (predicted, "pred")):
        np.testing.assert_allclose(got.detach().numpy(), golden[f"out/{name}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["pretrain_r75", "pretrain_r50_p8"])
@pytest.mark.parametrize("target", ["raw", "norm"])
def test_golden_loss_and_gradients(shared: Path, case: str, target: str) -> None:
    model, golden, _ = golden_model(shared, case)
    model.config = replace(model.config, norm_pix=target == "norm")
    batch = {"image": torch.from_numpy(golden["in/imgs"]), "mask_noise": torch.from_numpy(golden["in/noise"])}
    loss = model(batch, 0.0).loss
    np.testing.assert_allclose(loss.item(), golden[f"out/loss_{target}_pix"], rtol=1e-4, atol=1e-5)
    loss.backward()
    parameters = official(model)
    names = [key for key in golden.files if key.startswith(f"out/grad_{target}_pix/")]
    assert len(names) == 6
    for name in names:
        gradient = parameters[name.split("/")[-1]].grad
        np.testing.assert_allclose(gradient.numpy(), golden[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("norm_pix", [False, True])
@pytest.mark.parametrize("ratio", [0.5, 0.75])
def test_loss_and_every_gradient_equal_the_loops(norm_pix: bool, ratio: float) -> None:
    model = randomised(replace(SMALL, norm_pix=norm_pix, mask_ratio=ratio)).double()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    noise = torch.rand(2, 16)
    output = model({"image": images, "mask_noise": noise}, 0.0)
    weights = official(model)
    wanted, predicted = oracle.masked_autoencoder(
        weights, images, noise, patch=4, ratio=ratio, heads=2, decoder_heads=3, norm_pix=norm_pix
    )
    torch.testing.assert_close(output.loss, wanted, rtol=1e-10, atol=1e-12)
    trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
    got = torch.autograd.grad(output.loss, list(trained.values()))
    want = torch.autograd.grad(wanted, list(trained.values()))
    for name, mine, theirs in zip(trained, got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")
    order = order_by_noise(noise)
    latent = model.backbone.forward_masked(images, order[:, : int(16 * (1 - ratio))])
    torch.testing.assert_close(model.decoder.predict_all(latent, order), predicted, rtol=1e-9, atol=1e-10)


def test_the_forward_pass_is_deterministic_and_the_loss_does_not_follow_the_batch() -> None:
    model = randomised(SMALL)
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    noise = torch.rand(4, 16)
    whole = model({"image": images, "mask_noise": noise}, 0.0).loss
    assert torch.equal(whole, model({"image": images, "mask_noise": noise}, 0.9).loss)
    halves = [model({"image": images[part], "mask_noise": noise[part]}, 0.0).loss for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(whole, sum(halves) / 2)


def test_bytes_and_normalised_floats_are_the_same_batch() -> None:
    model = randomised(SMALL)
    images = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    noise = torch.rand(2, 16)
    record = model.preprocessing
    ready = (images / 255 - torch.tensor(record.mean).view(3, 1, 1)) / torch.tensor(record.std).view(3, 1, 1)
    torch.testing.assert_close(
        model({"image": images, "mask_noise": noise}, 0.0).loss,
        model({"image": ready, "mask_noise": noise}, 0.0).loss,
    )


def test_views_are_what_the_method_eats_and_follow_the_generator() -> None:
    config = replace(SMALL, flip=0.5)
    views = MAE(config).views()
    film = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    first, again = views(film, np.random.default_rng(1)), views(film, np.random.default_rng(1))
    assert first["image"].shape == (1, 16, 16)
    assert first["image"].dtype is torch.uint8
    assert first["mask_noise"].shape == (16,)
    assert first["mask_noise"].dtype is torch.float32
    for key in first:
        assert torch.equal(first[key], again[key])
    whole = replace(config, crop_scale=(1.0, 1.0))
    square = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    seen = {MAE(whole).views()(square, np.random.default_rng(seed))["image"].numpy().tobytes() for seed in range(60)}
    assert square.tobytes() in seen  # a full crop that is not mirrored
    assert np.ascontiguousarray(square[:, ::-1]).tobytes() in seen


def test_pictures() -> None:
    model = randomised(SMALL)
    images = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    noise = torch.rand(2, 16)
    pictures = model.reconstruct({"image": images, "mask_noise": noise})
    assert set(pictures) == {"original", "masked", "reconstructed"}
    for picture in pictures.values():
        assert picture.shape == (2, 3, 16, 16)
        assert 0 <= picture.min() <= picture.max() <= 1
    torch.testing.assert_close(pictures["original"], (images / 255).expand(-1, 3, -1, -1), atol=1e-6, rtol=0)
    _, mask = oracle.mask_of(noise, 0.75)
    visible = (1 - mask).view(2, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3).bool().expand(-1, 3, -1, -1)
    for name in ("masked", "reconstructed"):
        assert torch.equal(pictures[name][visible], pictures["original"][visible])
        assert not torch.equal(pictures[name][~visible], pictures["original"][~visible])


def test_a_perfect_prediction_draws_the_film(monkeypatch: pytest.MonkeyPatch) -> None:
    """Un-normalising inverts the standardisation of the targets."""
    from hilum.losses.reconstruction import standardise_patches

    model = randomised(SMALL)
    images = torch.randn(2, 3, 16, 16).clamp(-1, 1)
    truth = standardise_patches(patchify(images, 4))
    monkeypatch.setattr(model.decoder, "predict_all", lambda latent, order: truth)
    pictures = model.reconstruct({"image": images, "mask_noise": torch.rand(2, 16)})
    torch.testing.assert_close(pictures["reconstructed"], pictures["original"], atol=1e-4, rtol=0)


def test_starting_from_a_released_file(shared: Path) -> None:
    model, golden, _ = golden_model(shared, "pretrain_r75")
    config = replace(model.config, vit={**model.config.vit, "depth": 3})
    folder = shared / "golden/checkpoints"
    full, alone = MAE(config), MAE(config)
    notes = full.start_from(folder / "mae_pretrain_full.pth")
    assert any("encoder: 3 blocks of width 48 with 3 heads" in note for note in notes)
    assert any("random" in note for note in alone.start_from(folder / "mae_pretrain_encoder_only.pth"))
    images = torch.from_numpy(np.load(folder / "mae.npz")["in/imgs"])
    wanted = np.load(folder / "mae.npz")["out/tokens_pretrained"]
    for started in (full, alone):
        np.testing.assert_allclose(started.backbone(images).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    other = MAE(replace(config, vit={**config.vit, "width": 24}))
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"another architecture.*must be"):
        other.start_from(folder / "mae_pretrain_encoder_only.pth")
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())
    del golden


def test_starting_at_another_size_makes_the_fixed_table_anew(shared: Path) -> None:
    vit = {"patch_size": 16, "width": 48, "depth": 3, "heads": 3}
    model = MAE(Config(image_size=96, vit=vit, decoder_width=32, decoder_depth=2, decoder_heads=4))
    table = model.backbone.pos_embed.detach().clone()
    model.start_from(shared / "golden/checkpoints/mae_pretrain_encoder_only.pth")
    torch.testing.assert_close(model.backbone.pos_embed, table, atol=1e-6, rtol=0)


def test_presets_are_the_papers() -> None:
    config = PRESETS["cxrbase"]
    assert (config.backbone.width, config.backbone.depth, config.backbone.heads) == (1024, 24, 16)
    assert (config.decoder_width, config.decoder_depth, config.decoder_heads) == (512, 8, 16)
    assert (config.mask_ratio, config.norm_pix, config.crop_scale, config.flip) == (0.75, True, (0.2, 1.0), 0.5)


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        encoder = VisionTransformer(PRESETS["cxrbase"].backbone)
        model = MAE(PRESETS["cxrbase"])
    assert _count(encoder) == 303_301_632
    assert _count(model) == 329_541_888


@pytest.mark.slow
def test_one_step_at_full_size() -> None:
    torch.manual_seed(0)
    model = MAE(PRESETS["cxrbase"])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    batch = {"image": torch.randint(0, 256, (1, 1, 224, 224), dtype=torch.uint8), "mask_noise": torch.rand(1, 196)}
    first = model(batch, 0.0).loss
    first.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    optimizer.step()
    second = model(batch, 0.0).loss
    assert torch.isfinite(second)
    assert second < first


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Config(mask_ratio=1.0), "mask_ratio is 1.0"),
        (lambda: Config(crop_scale=(0.5, 0.2)), "crop_scale is"),
        (lambda: Config(channels=1), "one value for each of 1 channels"),
        (lambda: MAE(replace(SMALL, mask_ratio=0.97)), "none of 16 patches visible"),
        (lambda: MAE(Config(model="resnet")), "unknown model 'resnet'"),
    ],
)
def test_wrong_configurations_are_named(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def _count(model: torch.nn.Module) -> int:
    """Weights with the fixed tables, as the papers count."""
    return sum(parameter.numel() for parameter in model.parameters())
