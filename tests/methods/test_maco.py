"""MaCo: golden vectors with gradients, a second way to the loss, devices, variants, starting weights, learning."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.config import override
from hilum.errors import CheckpointError, ConfigError
from hilum.losses.gather import rank, world
from hilum.methods.maco import PRESETS, VARIANTS, Config, MaCo, importance
from hilum.methods.method import ReportViews
from hilum.models.masking import order_by_noise
from hilum.models.patches import patchify
from hilum.models.pretrained.maco import sort_maco
from hilum.models.text import TextConfig
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, REPORT_GROUP, TOKEN_MASK, TOKENS
from hilum.transforms.text import WordPiece
from tests.oracles import contrastive as oracle
from tests.processes import in_processes
from tests.words import vocabulary_of

SMALL = Config(
    image_size=16,
    channels=1,
    vit={"patch_size": 4, "width": 8, "depth": 2, "heads": 2},
    decoder_width=12,
    decoder_depth=1,
    decoder_heads=3,
    text=TextConfig(width=12, depth=1, heads=2, hidden=16, positions=12),
    length=12,
)
WORDS = vocabulary_of(40)


def variant(name: str, base: Config = SMALL, **more: Any) -> Config:
    return override(override(base, VARIANTS[name], where="variant"), more, where="test")


def undropped(config: Config) -> Config:
    """The same without the released dropout, whose draws are the device's."""
    return replace(config, text=replace(config.text, dropout=0.0))


def randomised(config: Config, words: WordPiece = WORDS) -> MaCo:
    torch.manual_seed(0)
    model = MaCo(config, words)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name != "temperature":
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def batch_of(config: Config, films: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    size = config.image_size * config.target_scale
    lengths = torch.randint(3, config.length + 1, (films, 1), generator=draws)
    mask = (torch.arange(config.length)[None] < lengths).long()
    ids = torch.randint(4, 40, (films, config.length), generator=draws) * mask
    ids[:, 0] = 2
    return {
        IMAGE: torch.randn(films, config.channels, size, size, generator=draws, dtype=dtype),
        MASK_NOISE: torch.rand(films, 16, generator=draws),
        TOKENS: ids,
        TOKEN_MASK: mask,
        REPORT_GROUP: torch.tensor([0, 1, 2, 1, 4, 5, 4, 7])[:films],
        HAS_REPORT: torch.tensor([True, True, True, True, True, False, True, True])[:films],
    }


# --- golden vectors -------------------------------------------------------------------------------------------------


def golden_model(shared: Path) -> tuple[MaCo, Mapping[str, Any]]:
    golden = np.load(shared / "golden/maco/tiny_sr1.npz")
    made = json.loads((shared / "golden/maco/tiny_sr1.json").read_text())["config"]
    bert = made["bert"]
    config = variant(
        "released",
        Config(
            image_size=made["img_size"],
            vit={
                "patch_size": made["patch_size"],
                "width": made["embed_dim"],
                "depth": made["depth"],
                "heads": made["num_heads"],
            },
            decoder_width=made["decoder_embed_dim"],
            decoder_depth=made["decoder_depth"],
            decoder_heads=made["decoder_num_heads"],
            mask_ratio=made["mask_ratio"],
            norm_pix=made["norm_pix_loss"],
            text=TextConfig(
                width=bert["hidden_size"],
                depth=bert["num_hidden_layers"],
                heads=bert["num_attention_heads"],
                hidden=bert["intermediate_size"],
                positions=bert["max_position_embeddings"],
            ),
            length=bert["max_position_embeddings"],
            temperature=made["T"],
        ),
        target_scale=1 + int(made["SR"]),
        antialias=True,  # what torchvision did when the vectors were made
    )
    model = MaCo(undropped(config), vocabulary_of(bert["vocab_size"]))
    prefix = "ckpt/model/"
    weights = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
    file = sort_maco(weights, heads=made["num_heads"], text_heads=bert["num_attention_heads"], where="golden")
    model.backbone.load_state_dict(file.image.backbone)
    model.decoder.load_state_dict(file.image.decoder)
    assert model.towers is not None
    model.towers.load_state_dict(file.towers)
    assert file.scale is not None
    model.temperature.data.copy_(file.scale)
    return model, golden


def test_golden_forward_and_gradients(shared: Path) -> None:
    model, golden = golden_model(shared)

    def given(name: str) -> Tensor:
        return torch.from_numpy(golden[name])

    def check(name: str, got: Tensor | None) -> None:
        assert got is not None
        torch.testing.assert_close(got, given(f"out/{name}"), rtol=1e-4, atol=1e-5, msg=lambda text: f"{name}: {text}")

    assert not given("in/type_ids").any()
    batch = {
        IMAGE: given("in/image"),
        MASK_NOISE: given("in/noise"),
        TOKENS: given("in/ids"),
        TOKEN_MASK: given("in/attention_mask"),
        REPORT_GROUP: torch.zeros(4, dtype=torch.int64),  # the released code takes twins for negatives
        HAS_REPORT: torch.ones(4, dtype=torch.bool),
    }
    towers, image = model.towers, model.config.image
    assert towers is not None
    assert towers.position is not None
    check("low_res_image", image.shrink(batch[IMAGE]))
    encoded = image.encode(model.backbone, batch[IMAGE], batch[MASK_NOISE])
    check("latent_img_global", towers.image_global(encoded.latent))
    check("p", importance(towers.position, encoded))
    check("pred", model.decoder.predict_all(encoded.latent, encoded.order))
    check("report_embedding", towers.text_global(towers.text(batch[TOKENS], batch[TOKEN_MASK])))
    check("encoder_nomask", model.backbone(image.shrink(batch[IMAGE])))
    output = model(batch, 0.0)
    check("loss_img", output.scalars["reconstruction"])
    check("loss_c", output.scalars["contrast"])
    torch.testing.assert_close(output.loss, given("out/loss_img") + given("out/loss_c"), rtol=1e-4, atol=1e-5)
    output.loss.backward()
    assert model.temperature.grad is not None
    assert model.backbone.cls_token is not None
    check("grad/Tpar", model.temperature.grad.squeeze())
    check("grad/pos_weight_img.weight", towers.position.weight.grad)
    check("grad/pos_weight_img.bias", towers.position.bias.grad)
    check("grad/img_mlp.weight", towers.image_head.weight.grad)  # type: ignore[arg-type]
    check("grad/cls_token", model.backbone.cls_token.grad)
    check("grad/bert_encoder.model.bert.pooler.dense.weight", towers.text.bert.pooler.dense.weight.grad)


# --- an independent sum of its parts --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hilum", "paper", "released", "clip", "none"])
def test_the_loss_is_the_sum_of_its_parts(name: str) -> None:
    config = variant(name) if name in VARIANTS else variant("hilum", contrast=name)
    model = randomised(undropped(config)).double()
    batch = batch_of(config, dtype=torch.float64)
    output = model(batch, 0.0)
    # films: every patch encoded apart from the hidden ones, all predicted, the hidden ones compared
    small = config.image.shrink(batch[IMAGE])
    order = order_by_noise(batch[MASK_NOISE])
    latent = model.backbone.forward_masked(small, order[:, :8])
    predicted = model.decoder.predict_all(latent, order)
    target = patchify(batch[IMAGE], 4 * config.target_scale)
    errors = [
        (predicted[film, patch] - target[film, patch]).square().mean()
        for film in range(8)
        for patch in order[film, 8:].tolist()
    ]
    wanted = config.reconstruction_weight * torch.stack(errors).mean()
    if model.towers is not None:
        projected = latent[:, 1:] @ model.towers.image_head.weight.T + model.towers.image_head.bias  # type: ignore[operator]
        read = model.towers.text(batch[TOKENS], batch[TOKEN_MASK])
        v, t, has = projected.mean(dim=1), read.pooled, batch[HAS_REPORT].tolist()
        assert t is not None
        groups = batch[REPORT_GROUP].tolist() if config.skip_twins else None
        tau = torch.tensor(config.temperature, dtype=torch.float64)
        if model.towers.position is None:
            contrast = oracle.clip(v, t, 1 / tau, groups, has, config.directions)
        else:
            weight, bias = model.towers.position.weight[0], model.towers.position.bias[0]
            p = torch.stack([bias + sum(weight[patch] for patch in order[film, :8].tolist()) for film in range(8)])
            if config.contrast == "paper":
                taus = {"tau1": 1.0, "tau2": 16.0, "d": 16}
                more = {"groups": groups, "has": has, "directions": "image", "reduction": "weighted"}
                contrast = oracle.paper(v, t, p, tau, **taus, **more)  # type: ignore[arg-type]
            else:
                contrast = oracle.released(v, t, p, 1 / tau, groups, has, config.directions)
        wanted = wanted + config.contrast_weight * contrast
    torch.testing.assert_close(output.loss, wanted, rtol=1e-6, atol=1e-7)
    parameters = [p for p in model.parameters() if p.requires_grad and p is not getattr(model, "temperature", None)]
    got, want = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (output.loss, wanted))
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("form", ["log", "multiplier", "divisor"])
def test_the_temperature_starts_where_it_is_told_and_stays_in_bounds(form: Any) -> None:
    model = randomised(replace(SMALL, temperature_form=form, temperature=0.05))
    torch.testing.assert_close(model.scale, torch.tensor([20.0]))
    cold = {"log": 20.0, "multiplier": 1e4, "divisor": 1e-9}[form]
    model.temperature.data.fill_(cold)
    model.after_step(0.5)
    torch.testing.assert_close(model.scale, torch.tensor([1e4 if form == "multiplier" else 100.0]))


def test_every_mask_counts_the_same_at_the_start() -> None:
    model = MaCo(SMALL, WORDS)
    assert model.towers is not None
    assert model.towers.position is not None
    encoded = SMALL.image.encode(model.backbone, torch.zeros(2, 1, 32, 32), torch.rand(2, 16))
    assert not importance(model.towers.position, encoded).any()


def test_films_without_a_report_learn_from_their_pixels_alone() -> None:
    model = randomised(SMALL)
    batch = batch_of(SMALL)
    batch[HAS_REPORT][:] = False
    output = model(batch, 0.0)
    assert output.scalars["contrast"] == 0
    torch.testing.assert_close(output.loss, output.scalars["reconstruction"])
    output.loss.backward()  # DDP refuses parameters without a gradient
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_pictures() -> None:
    model = randomised(SMALL)
    pictures = model.reconstruct(batch_of(SMALL))
    assert set(pictures) == {"original", "masked", "reconstructed"}
    assert all(picture.shape == (8, 1, 32, 32) for picture in pictures.values())


# --- devices --------------------------------------------------------------------------------------------------------


def step_of_a_rank() -> dict[str, Tensor]:
    """Losses and gradients of one step of three variants, on this rank's share of the batch."""
    found: dict[str, Tensor] = {}
    for name in ("hilum", "paper", "clip"):
        config = undropped(variant(name) if name in VARIANTS else variant("hilum", contrast=name))
        model = randomised(replace(config, group_size=3, skip_twins=True))
        batch = batch_of(config)
        share = slice(rank() * 8 // world(), (rank() + 1) * 8 // world())
        loss = model({key: value[share] for key, value in batch.items()}, 0.0).loss
        loss.backward()
        found[f"{name}.loss"] = loss
        found |= {f"{name}.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
    return found


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    alone = step_of_a_rank()
    first, second = in_processes("tests.methods.test_maco:step_of_a_rank", tmp_path)
    assert first.keys() == alone.keys()
    for key, value in alone.items():
        torch.testing.assert_close((first[key] + second[key]) / 2, value, rtol=1e-6, atol=1e-6, msg=key)


# --- films and reports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_views_are_what_the_method_eats_and_follow_the_generator(name: str) -> None:
    config = undropped(variant(name))
    model = randomised(config)
    views = model.views()
    assert isinstance(views, ReportViews)
    film = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    text = "W4 w6. W8 w10. w12. none. w14 w16."
    one, again = (views(film, np.random.default_rng(1), text) for _ in range(2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    side = config.target_scale * config.image_size
    assert one[IMAGE].shape == (1, side, side)
    assert one[IMAGE].dtype is torch.uint8
    read = {tuple(views(film, np.random.default_rng(seed), text)[TOKENS].tolist()) for seed in range(40)}
    assert len(read) > 10  # sentences are shuffled and some are left out
    samples = [views(film, np.random.default_rng(seed), text if seed else "") for seed in range(4)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    batch |= {REPORT_GROUP: torch.arange(4), HAS_REPORT: torch.tensor([False, True, True, True])}
    assert torch.isfinite(model(batch, 0.0).loss)
    assert model.preprocessing.resize == ("squeeze" if name == "hilum" else "pad")


# --- variants and presets -------------------------------------------------------------------------------------------


def flat(config: Config) -> dict[str, Any]:
    values = asdict(config)
    text = values.pop("text")
    return values | {f"text.{key}": value for key, value in text.items()}


def test_paper_and_released_differ_as_the_sheet_says() -> None:
    paper, released = flat(variant("paper", Config())), flat(variant("released", Config()))
    found = {key: (paper[key], released[key]) for key in paper if paper[key] != released[key]}
    print("field: paper | released", *(f"{key}: {a} | {b}" for key, (a, b) in found.items()), sep="\n")  # noqa: T201
    assert found == {
        "target_scale": (1, 2),  # eq. 1 on the patches; the code's super-resolution
        "reconstruction_weight": (0.9, 1.0),  # lambda of eq. 4; stored and never used
        "contrast": ("paper", "released"),
        "contrast_weight": (0.1, 1.0),
        "directions": ("image", "both"),  # eq. 3
        "temperature_form": ("divisor", "multiplier"),  # tau3 of eq. 3; Tpar
    }
    for config in (paper, released):
        common = ("mask_ratio", "norm_pix", "tau1", "tau2", "group_size", "temperature", "flip", "skip_twins")
        assert tuple(config[key] for key in common) == (0.5, False, 1.0, 16.0, 16, 0.03, 0.5, False)
        assert (config["framing"], config["rotate"], config["zoom"]) == ("affine", 20.0, (0.8, 1.2))
        assert (config["antialias"], config["text.dropout"]) == (False, 0.1)


def test_ours_differs_from_the_released_where_the_docstring_says() -> None:
    ours, released = flat(Config()), flat(variant("released", Config()))
    found = {key for key in ours if ours[key] != released[key]}
    assert found == {"antialias", "skip_twins", "temperature_form", "framing", "flip", "text.dropout"}


def test_the_preset_is_the_paper() -> None:
    config = PRESETS["maco"]
    assert (config.backbone.width, config.backbone.depth, config.backbone.patch_size) == (768, 12, 16)
    assert (config.decoder_width, config.decoder_depth, config.decoder_heads) == (768, 4, 6)
    text = config.text
    assert (text.width, text.depth, text.hidden, text.positions) == (768, 6, 3072, 100)


def test_parameter_counts_of_the_sheet() -> None:
    with torch.device("meta"):
        model = MaCo(PRESETS["maco"], WORDS)
    assert model.towers is not None
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts["backbone"] == 85_798_656
    assert counts["decoder"] == 31_458_048
    words = model.towers.text.bert.embeddings.word_embeddings.weight
    text = sum(p.numel() for p in model.towers.text.parameters()) + (30_000 - len(words)) * 768
    assert round(text / 1e5) == 662  # 66.2 M with the released vocabulary


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: replace(SMALL, contrast="simclr"), "unknown contrast 'simclr'"),
        (lambda: replace(SMALL, preparation="macho"), "Did you mean 'maco'"),
        (lambda: replace(SMALL, directions="text"), "unknown directions"),
        (lambda: replace(SMALL, temperature=0.0), "must be positive"),
        (lambda: replace(SMALL, group_size=0), "group_size is 0"),
        (lambda: replace(SMALL, contrast_weight=-1.0), "must not be negative"),
        (lambda: replace(SMALL, length=100), "length 100 must lie in 2 to 12"),
        (lambda: replace(SMALL, mean=(0.5, 0.5)), "one value, or one a channel"),
        (lambda: MaCo(replace(SMALL, mask_ratio=0.97), WORDS), "none of 16 patches visible"),
        (lambda: MaCo(replace(SMALL, vit={**SMALL.vit, "registers": 2}), WORDS), "no registers"),
    ],
)
def test_wrong_configurations_are_named(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


# --- starting weights -----------------------------------------------------------------------------------------------


def stand_in_config(**more: Any) -> Config:
    text = TextConfig(width=24, depth=1, heads=3, hidden=48)
    vit = {"patch_size": 16, "width": 48, "depth": 2, "heads": 3}
    return replace(
        Config(image_size=64, vit=vit, decoder_width=48, decoder_depth=1, decoder_heads=4, text=text), **more
    )


@pytest.mark.parametrize("form", ["log", "divisor"])
def test_starting_from_a_released_maco_file(shared: Path, form: Any) -> None:
    folder = shared / "golden/checkpoints"
    model = MaCo(stand_in_config(temperature_form=form), vocabulary_of(60))
    notes = model.start_from(folder / "maco.pth")
    golden = np.load(folder / "maco.npz")
    model.eval()
    assert model.towers is not None
    tokens = model.backbone(torch.from_numpy(golden["in/imgs"]))
    projected = model.towers.image_global(tokens).detach().numpy()
    np.testing.assert_allclose(projected, golden["out/global_embedding"], rtol=1e-4, atol=1e-5)
    read = model.towers.text(*(torch.from_numpy(golden[f"in/{key}"]) for key in ("ids", "attention_mask")))
    vectors = model.towers.text_global(read).detach().numpy()
    np.testing.assert_allclose(vectors, golden["out/text_embedding"], rtol=1e-4, atol=1e-5)
    told = "\n".join(notes)
    for words in (
        "give that --tokenizer",
        "dropped WCE.weight",
        "the weights of positions: 2 tensors",
        "multiplied by",
    ):
        assert words in told


def test_what_does_not_fit_is_said(shared: Path) -> None:
    path = shared / "golden/checkpoints/maco.pth"
    plain = MaCo(stand_in_config(contrast="clip"), vocabulary_of(61))
    told = "\n".join(plain.start_from(path))
    assert "the report encoder: random weights" in told
    assert "the weights of positions of the file are left out" in told
    other = MaCo(stand_in_config(vit={"patch_size": 16, "width": 24, "depth": 2, "heads": 3}), vocabulary_of(60))
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match="another architecture"):
        other.start_from(path)
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_starting_from_imagenet_mae_leaves_the_rest_random(shared: Path) -> None:
    folder = shared / "golden/checkpoints"
    config = stand_in_config(vit={"patch_size": 16, "width": 48, "depth": 3, "heads": 3}, contrast="none")
    model = MaCo(config, vocabulary_of(60))
    told = "\n".join(model.start_from(folder / "mae_pretrain_encoder_only.pth"))
    assert "the decoder starts from random weights" in told
    images = torch.from_numpy(np.load(folder / "mae.npz")["in/imgs"])
    wanted = np.load(folder / "mae.npz")["out/tokens_pretrained"]
    np.testing.assert_allclose(model.backbone(images).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(CheckpointError, match="reads no reports"):
        model.start_text_from(folder)


# --- learning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hilum", "released", "paper"])
def test_a_few_steps_teach_which_report_is_whose(name: str) -> None:
    config = variant(name, replace(PRESETS["phantom"], image_size=64, vit={"depth": 2}), channels=1)
    torch.manual_seed(0)
    model = MaCo(undropped(config), WORDS)
    views = model.views()
    films = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    texts = [f"w{4 + 2 * n} w{20 + 2 * n}." for n in range(8)]
    samples = [
        views(film, np.random.default_rng(n), text) for n, (film, text) in enumerate(zip(films, texts, strict=True))
    ]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    batch |= {REPORT_GROUP: torch.arange(8), HAS_REPORT: torch.ones(8, dtype=torch.bool)}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for step in range(20):
        output = model(batch, step / 20)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        model.after_step(step / 20)
        losses.append((output.loss.item(), output.scalars["contrast"].item()))
    assert losses[-1][0] < 0.7 * losses[0][0]
    assert losses[-1][1] < 0.5 * losses[0][1]


@pytest.mark.slow
def test_one_step_at_full_size() -> None:
    torch.manual_seed(0)
    model = MaCo(PRESETS["maco"], vocabulary_of(30_000))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    draws = torch.Generator().manual_seed(0)
    batch = {
        IMAGE: torch.randint(0, 256, (2, 1, 448, 448), dtype=torch.uint8, generator=draws),
        MASK_NOISE: torch.rand(2, 196, generator=draws),
        TOKENS: torch.randint(4, 30_000, (2, 100), generator=draws),
        TOKEN_MASK: torch.ones(2, 100, dtype=torch.int64),
        REPORT_GROUP: torch.arange(2),
        HAS_REPORT: torch.ones(2, dtype=torch.bool),
    }
    first = model(batch, 0.0).loss
    first.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    optimizer.step()
    second = model(batch, 0.0).loss
    assert torch.isfinite(second)
    assert second < first
