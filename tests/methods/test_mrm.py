"""Masked record modelling: golden vectors of the official code, the slow oracle, variants, views, starts."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.config import override
from hilum.errors import ConfigError
from hilum.methods.mrm import MRM, PRESETS, VARIANTS, Config
from hilum.models.patches import patchify
from hilum.models.text import TextConfig
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, MASKED, TOKEN_MASK, TOKENS
from hilum.transforms.text import WordPiece
from tests.oracles import mrm as oracle
from tests.processes import in_processes
from tests.words import vocabulary_of

SMALL = Config(
    image_size=16,
    vit={"patch_size": 4, "width": 8, "depth": 2, "heads": 2},
    decoder_width=12,
    decoder_depth=2,
    decoder_heads=3,
    text=TextConfig(width=12, depth=2, heads=3, hidden=20, positions=10),
    length=10,
)
WORDS = vocabulary_of(30)


def golden_model(shared: Path, case: str, **changes: Any) -> tuple[MRM, Any]:
    """The official tiny model in ours, weights and all; nothing of the file may be left over."""
    golden = np.load(shared / f"golden/mrm/{case}.npz")
    made = json.loads((shared / f"golden/mrm/{case}.json").read_text())["config"]
    text = made["bert"]
    config = Config(
        image_size=made["img_size"],
        channels=made.get("in_chans", 3),
        vit={
            "patch_size": made["patch_size"],
            "width": made["embed_dim"],
            "depth": made["depth"],
            "heads": made["num_heads"],
            "mlp_ratio": made.get("mlp_ratio", 4),
        },
        decoder_width=made["decoder_embed_dim"],
        decoder_depth=made["decoder_depth"],
        decoder_heads=made["decoder_num_heads"],
        mask_ratio=made["mask_ratio"],
        text=TextConfig(
            width=text["hidden_size"],
            depth=text["num_hidden_layers"],
            heads=text["num_attention_heads"],
            hidden=text["intermediate_size"],
            positions=text["max_position_embeddings"],
        ),
        length=text["max_position_embeddings"],
    )
    config = override(config, {**VARIANTS["released"], "antialias": True, "norm_pix": False}, where="x")
    config = override(config, {"text": {"dropout": 0.0}, **changes}, where="x")
    model = MRM(config, vocabulary_of(text["vocab_size"]))
    prefix = "ckpt/model/"
    weights = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": weights}, Path(folder) / "official.pth")
        notes = model.start_from(Path(folder) / "official.pth")
    assert not any("random weights" in note for note in notes)
    assert not any("no part of" in note or "left out" in note for note in notes)
    return model, golden


def official(model: MRM) -> dict[str, Tensor]:
    """The model's parameters under the official names; tied, the output matrix under both of its names."""
    names: dict[str, Tensor] = {}
    changed = {"dense": "transform.dense", "norm": "transform.LayerNorm", "decoder": "decoder", "bias": "bias"}
    for key, value in model.named_parameters():
        part, rest = key.split(".", 1)
        if part in ("backbone", "decoder"):
            names[rest] = value
        elif part == "bridge":
            names[f"bert_mlp.{rest}"] = value
        elif part == "report":
            names[f"bert_encoder.model.{rest}"] = value
        else:
            first, *last = rest.split(".")
            names[".".join([oracle.HEAD + changed[first], *last])] = value
    names.setdefault(oracle.HEAD + "decoder.weight", names[oracle.BERT + "embeddings.word_embeddings.weight"])
    return names


def golden_batch(golden: Any) -> dict[str, Tensor]:
    ids, labels = (torch.from_numpy(golden[f"in/{name}"]) for name in ("ids", "labels"))
    return {
        IMAGE: torch.from_numpy(golden["in/image"]),
        MASK_NOISE: torch.from_numpy(golden["in/noise"]),
        TOKENS: labels,
        TOKEN_MASK: torch.from_numpy(golden["in/attention_mask"]),
        MASKED: ids != labels,
    }


def close(got: Tensor, want: np.ndarray, what: str = "") -> None:
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-4, atol=1e-5, err_msg=what)


def test_golden_intermediates(shared: Path) -> None:
    model, golden = golden_model(shared, "tiny")
    batch = golden_batch(golden)
    assert torch.equal(batch[TOKENS].masked_fill(batch[MASKED], 3), torch.from_numpy(golden["in/ids"]))
    encoded = model.config.image.encode(model.backbone, batch[IMAGE], batch[MASK_NOISE])
    close(model.config.image.shrink(batch[IMAGE]), golden["out/low_res_image"])
    assert np.array_equal(encoded.order.argsort(1).numpy(), golden["out/ids_restore"])
    close(encoded.latent, golden["out/latent"])
    vector = model.image_vector(encoded)
    assert vector is not None
    close(vector, golden["out/latent_report"])
    hidden = model.read(batch, vector)
    close(hidden, golden["out/report_hidden"])
    close(model.score(hidden), golden["out/mlm_logits"])
    assert model.decoder is not None
    close(model.decoder.predict_all(encoded.latent, encoded.order), golden["out/pred"])
    assert np.array_equal(patchify(batch[IMAGE], 32).numpy(), golden["out/patchify_2x"])


def test_golden_losses_and_gradients(shared: Path) -> None:
    model, golden = golden_model(shared, "tiny")
    batch = golden_batch(golden)
    output = model(batch, 0.0)
    for name in ("image_loss", "report_loss"):
        wanted = golden[f"out/{name}_raw_pix" if name == "image_loss" else f"out/{name}"]
        close(output.scalars[name], wanted, name)
    close(output.loss, golden["out/total_loss_raw_pix"])
    output.loss.backward()
    parameters = official(model)
    names = [key for key in golden.files if key.startswith("out/grad_raw_pix/")]
    assert len(names) == 6
    for name in names:
        gradient = parameters[name.split("/")[-1]].grad
        assert gradient is not None
        close(gradient, golden[name], name)
    model.config = replace(model.config, norm_pix=True)
    close(model(batch, 0.0).scalars["image_loss"], golden["out/image_loss_norm_pix"])


def test_golden_full_resolution(shared: Path) -> None:
    model, golden = golden_model(shared, "full_224")
    small = torch.from_numpy(golden["in/image_u8_56"]).float()
    image = small.repeat_interleave(8, 2).repeat_interleave(8, 3) / 255
    batch = golden_batch({**golden, "in/image": ((image - 0.4978) / 0.2449).expand(-1, 3, -1, -1).numpy()})
    encoded = model.config.image.encode(model.backbone, batch[IMAGE], batch[MASK_NOISE])
    low = model.config.image.shrink(batch[IMAGE])
    close(low[0, 0, 100], golden["out/low_res_row_100"])
    close(low.mean(), golden["out/low_res_mean"])
    assert model.decoder is not None
    predicted = model.decoder.predict_all(encoded.latent, encoded.order)
    close(predicted.mean(2), golden["out/pred_mean"])
    close(predicted.std(2), golden["out/pred_std"])
    output = model(batch, 0.0)
    close(output.scalars["image_loss"], golden["out/image_loss_raw_pix"])
    close(output.scalars["report_loss"], golden["out/report_loss"])


def randomised(config: Config) -> MRM:
    torch.manual_seed(0)
    model = MRM(config, WORDS)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
        assert "token_type" in name or parameter.ndim
    return model


def some_batch(films: int = 2, *, scale: int = 2, channels: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Films of 16 px at `scale`, reports of 10 places, some of them padding and some hidden."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, 30, (films, 10), generator=draw)
    token_mask = (torch.arange(10) < torch.randint(5, 11, (films, 1), generator=draw)).long()
    tokens = tokens * token_mask
    tokens[:, 0] = 2
    hidden = (torch.rand(films, 10, generator=draw) < 0.5) & token_mask.bool()
    hidden[:, 0] = False
    images = torch.randn(films, channels, 16 * scale, 16 * scale, dtype=torch.float64, generator=draw)
    noise = torch.rand(films, 16, generator=draw)
    batch = {IMAGE: images, MASK_NOISE: noise, TOKENS: tokens, TOKEN_MASK: token_mask, MASKED: hidden}
    return {**batch, HAS_REPORT: torch.ones(films, dtype=torch.bool)}


ORACLE_CASES: list[dict[str, Any]] = [
    {},
    {"tied": False, "image_vector_on": "visible", "norm_pix": False, "antialias": False},
    {"report_loss_on": "all", "image_pool": "max", "super_resolution": False},
    {"image_loss_on": "all", "mask_ratio": 0.5, "text": replace(SMALL.text, position="sincos")},
    {"mask_ratio": 0.0, "image_weight": 0.5},
]


@pytest.mark.parametrize("changes", ORACLE_CASES, ids=lambda changes: ",".join(changes) or "default")
def test_losses_and_every_gradient_equal_the_loops(changes: dict[str, Any]) -> None:
    config = replace(SMALL, **changes)
    model = randomised(config).double()
    batch = some_batch(scale=config.image.scale)
    output = model(batch, 0.0)
    weights = official(model)
    image_loss, report_loss = oracle.masked_record_model(
        weights,
        *(batch[key] for key in (IMAGE, MASK_NOISE, TOKENS, TOKEN_MASK, MASKED)),
        patch=4,
        ratio=config.mask_ratio,
        heads=2,
        decoder_heads=3,
        text_heads=3,
        scale=config.image.scale,
        antialias=config.antialias,
        norm_pix=config.norm_pix,
        all_patches=config.image.loss_on == "all",
        all_words=config.report_loss_on == "all",
        vector_on=config.image_vector_on,
        pool=config.image_pool,
    )
    torch.testing.assert_close(output.scalars["image_loss"], image_loss.detach(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(output.scalars["report_loss"], report_loss.detach(), rtol=1e-9, atol=1e-10)
    wanted = config.image_weight * image_loss + report_loss
    torch.testing.assert_close(output.loss, wanted, rtol=1e-6, atol=1e-7)
    trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
    got = torch.autograd.grad(output.loss, list(trained.values()))
    want = torch.autograd.grad(wanted, list(trained.values()), allow_unused=True, materialize_grads=True)
    for name, mine, theirs in zip(trained, got, want, strict=True):
        if config.tied and name == oracle.HEAD + "decoder.weight":
            continue  # the word vectors under their second name
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}")


def test_a_film_without_a_report_teaches_through_its_pixels_alone() -> None:
    model = randomised(replace(SMALL, missing_reports="keep", report_to_image=True)).double()
    batch = some_batch(3)
    alone = {key: value[:2] for key, value in batch.items()}
    told = {**batch, HAS_REPORT: torch.tensor([True, True, False])}
    torch.testing.assert_close(model(told, 0.0).scalars["report_loss"], model(alone, 0.0).scalars["report_loss"])
    other = {**told, TOKENS: told[TOKENS].clone()}
    other[TOKENS][2, 1:4] = 7
    assert torch.equal(model(told, 0.0).loss, model(other, 0.0).loss)
    silent = model({**batch, HAS_REPORT: torch.zeros(3, dtype=torch.bool)}, 0.0)
    assert silent.scalars["report_loss"] == 0
    silent.loss.backward()  # nothing left out of the graph, nothing not finite
    for name, parameter in model.named_parameters():
        assert not parameter.requires_grad or torch.isfinite(parameter.grad).all(), name


SWITCHES: dict[str, dict[str, Any]] = {
    "no report loss": {"report_loss": False},
    "no image loss": {"image_loss": False, "mask_ratio": 0.0},
    "nothing hidden of the film": {"mask_ratio": 0.0},
    "no super-resolution": {"super_resolution": False},
    "words into the image decoder": {"report_to_image": True},
    "GMP": {"image_pool": "max"},
    "half": {"mask_ratio": 0.5},
    "lambda": {"image_weight": 2.0},
    "report alone": {"image_vector_on": "none"},
    "untied": {"tied": False},
    "visible": {"image_vector_on": "visible"},
}


@pytest.mark.parametrize("name", SWITCHES)
def test_every_ablation_trains_all_its_weights(name: str) -> None:
    model = randomised(replace(SMALL, **SWITCHES[name])).double()
    output = model(some_batch(scale=model.config.image.scale), 0.0)
    assert set(output.scalars) == {"loss"} | {
        f"{part}_loss" for part in ("image", "report") if model.config.__dict__[f"{part}_loss"]
    }
    output.loss.backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{key} takes no part in the loss"


def test_where_the_vector_of_the_film_goes() -> None:
    batch = some_batch()
    vector = torch.randn(2, 12, dtype=torch.float64)
    states = {}
    for where in ("all", "visible", "none"):
        model = randomised(replace(SMALL, image_vector_on=where)).double()
        states[where] = model.read(batch, vector if where != "none" else None)
        no_vector = model.read(batch, None)
        assert torch.equal(states[where], no_vector) == (where == "none")
    assert not torch.allclose(states["all"], states["visible"])


def test_words_reach_the_image_decoder_only_by_their_visible_mean() -> None:
    model = randomised(replace(SMALL, report_to_image=True)).double()
    batch = some_batch()
    drawn = model.reconstruct(batch)["reconstructed"]
    hidden = {**batch, TOKENS: torch.where(batch[MASKED], 9, batch[TOKENS])}
    assert torch.equal(model.reconstruct(hidden)["reconstructed"], drawn)
    seen = (batch[TOKEN_MASK].bool() & ~batch[MASKED]).nonzero()[-1]
    changed = {**batch, TOKENS: batch[TOKENS].clone()}
    changed[TOKENS][tuple(seen)] = 29 - changed[TOKENS][tuple(seen)] + 4
    assert not torch.equal(model.reconstruct(changed)["reconstructed"], drawn)


def test_views_are_what_the_method_eats_and_follow_the_generator() -> None:
    model = MRM(replace(SMALL, crop_scale=(1.0, 1.0)), WORDS)
    views = model.views()
    film = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    text = "w4 w6##7 w8 w10 w12 ##5 w14 w16 w18 w20 w22"
    first, again = (views(film, np.random.default_rng(1), text) for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert first[IMAGE].shape == (1, 32, 32)
    assert first[MASK_NOISE].shape == (16,)
    assert [first[key].shape for key in (TOKENS, TOKEN_MASK, MASKED)] == [(10,)] * 3
    assert first[MASKED].dtype is torch.bool
    assert np.array_equal(first[IMAGE][0].numpy(), film)
    assert np.array_equal(first[TOKENS].numpy(), WORDS.encode(text, 10).ids)
    shares = [views(film, np.random.default_rng(seed), text)[MASKED][1:-1].float().mean() for seed in range(200)]
    assert abs(float(np.mean(shares)) - 0.5) < 0.05
    empty = views(film, np.random.default_rng(0), "")
    assert not empty[MASKED].any()
    assert empty[TOKEN_MASK].tolist() == [1] + [0] * 9


def test_a_separator_is_never_hidden() -> None:
    model = MRM(SMALL, vocabulary_of(30, separator=True))
    views = model.views()
    for seed in range(40):
        sample = views(np.zeros((32, 32), dtype=np.uint8), np.random.default_rng(seed), "w8 w10")
        assert not (sample[MASKED] & (sample[TOKENS] == model.tokenizer.sep_id)).any()


def test_pictures_have_the_resolution_of_the_target() -> None:
    model = randomised(SMALL)
    batch = {**some_batch(), IMAGE: torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)}
    pictures = model.reconstruct(batch)
    assert set(pictures) == {"original", "masked", "reconstructed"}
    assert all(picture.shape == (2, 3, 32, 32) for picture in pictures.values())
    torch.testing.assert_close(pictures["original"], (batch[IMAGE] / 255).expand(-1, 3, -1, -1), atol=1e-6, rtol=0)
    blind = randomised(replace(SMALL, image_loss=False, mask_ratio=0.0))
    assert torch.equal(blind.reconstruct(batch)["reconstructed"], blind.reconstruct(batch)["masked"])


# paper versus released code, as the fact sheet lists it (section 9), field by field
DIFFERENCES = {
    "image_vector_on": ("visible", "all"),
    "mean": ((0.0,), (0.4978,)),
    "norm_pix": (False, True),
    "report_loss_on": ("masked", "all"),
    "report_masking": ("token", "word"),
    "std": ((1.0,), (0.2449,)),
    "text.position": ("sincos", "learned"),
}
# what the released code does otherwise than we do by default
DEPARTURES = {
    "antialias": (True, False),
    "flip": (0.0, 0.5),
    "report_loss_on": ("masked", "all"),
    "text.dropout": (0.0, 0.1),
    "tied": (True, False),
}


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Every field, nested ones by their dotted name, that differs."""

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            found |= flat(value, f"{prefix}{key}.") if key == "text" else {prefix + key: value}
        return found

    left, right = flat(asdict(one)), flat(asdict(other))
    return {key: (left[key], right[key]) for key in sorted(left) if left[key] != right[key]}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_paper_and_released_code_differ_where_the_sheet_says(preset: str) -> None:
    made = {name: override(PRESETS[preset], values, where=name) for name, values in VARIANTS.items()}
    assert differences(made["paper"], made["released"]) == DIFFERENCES
    assert made["hilum"] == PRESETS[preset]
    if preset == "mrm":
        assert differences(made["hilum"], made["released"]) == DEPARTURES
    for config in made.values():
        assert len(config.image.__dict__)
        MRM(replace(config, vit={"depth": 1}, model="vit_tiny_patch16"), WORDS)


def test_the_preset_is_the_papers_and_its_weights_are_counted_as_the_sheet_counts_them() -> None:
    config = override(PRESETS["mrm"], VARIANTS["released"], where="x")
    with torch.device("meta"):
        model = MRM(config, vocabulary_of(30_000))
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    pooler, text = 384 * 384 + 384, counts["report"] + counts["words"]
    assert (counts["backbone"], counts["decoder"], counts["bridge"]) == (85_798_656, 31_458_048, 295_296)
    assert counts["backbone"] + counts["decoder"] + counts["bridge"] + text + pooler == 151_605_168


def test_random_weights_start_where_the_release_starts() -> None:
    torch.manual_seed(0)
    model = MRM(
        replace(SMALL, tied=False, text=TextConfig(width=96, depth=1, heads=3, hidden=192, positions=10)), WORDS
    )
    assert model.report is not None
    layer = model.report.bert.encoder.layer[0]
    for part in (
        layer.intermediate.dense,
        layer.attention.self.query,
        model.words.decoder,
        model.words.dense,
        model.bridge,
    ):
        bound = (6 / sum(part.weight.shape)) ** 0.5
        assert bound * 0.97 < part.weight.abs().max() <= bound
        assert part.bias is None or not part.bias.any()
    assert abs(model.report.bert.embeddings.word_embeddings.weight[4:].std().item() - 0.02) < 0.002


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_loss": False, "report_loss": False}, "with neither loss"),
        ({"report_masking": "sentence"}, "report_masking is 'sentence'"),
        ({"image_pool": "median"}, "image_pool is 'median'"),
        ({"length": 11}, "length 11 exceeds 10"),
        ({"length": 2}, "no room for a word"),
        ({"report_ratio": 0.0}, "report_ratio is 0.0"),
        ({"image_weight": 0.0}, "set image_loss=false"),
        ({"image_loss": False, "image_vector_on": "none"}, "needs the image loss"),
        ({"report_loss": False, "report_to_image": True}, "needs the report loss"),
        ({"mean": (0.1, 0.2)}, "one for each of 3"),
        ({"mask_ratio": 1.0}, "mask_ratio is 1.0"),
        ({"crop_scale": (0.5, 0.2)}, "crop_scale is"),
        ({"flip": 1.5}, "flip is 1.5"),
    ],
)
def test_wrong_configurations_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **changes)


def distributed_step() -> dict[str, Tensor]:
    """This rank's half of a batch of 4 through DDP: the loss averaged over ranks, and every gradient."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    model = randomised(SMALL).double()
    rank = dist.get_rank()
    batch = {key: value[2 * rank : 2 * rank + 2] for key, value in some_batch(4).items()}
    parallel = DistributedDataParallel(model)  # kept by a name: its hooks die with it
    output = parallel(batch, 0.0)
    output.loss.backward()
    loss = output.loss.detach().clone()
    dist.all_reduce(loss)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss / dist.get_world_size(), **gradients}


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    batch = some_batch(4)
    assert batch[MASKED][:2].sum() != batch[MASKED][2:].sum()  # so a mean of means would differ
    model = randomised(SMALL).double()
    output = model(batch, 0.0)
    output.loss.backward()
    for made in in_processes("tests.methods.test_mrm:distributed_step", tmp_path):
        torch.testing.assert_close(made.pop("loss"), output.loss.detach(), rtol=1e-9, atol=1e-9)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(
                    made[name], parameter.grad, rtol=1e-7, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
                )


def test_both_losses_fall_on_a_handful_of_phantom_films() -> None:
    from hilum.datasets.phantom import phantom_patient, render, report_of

    patients = [phantom_patient(0, index) for index in range(6)]
    films = [np.rint(render(p, p.studies[0], p.studies[0].views[0], size=64) * 255).astype(np.uint8) for p in patients]
    texts = [report_of(patient, patient.studies[0]).text for patient in patients]
    torch.manual_seed(0)
    config = replace(PRESETS["phantom"], image_size=32, vit={"patch_size": 8, "depth": 2}, crop_scale=(1.0, 1.0))
    model = MRM(config, WordPiece.train(texts, vocab_size=400))
    views = model.views()
    samples = [
        views(film, np.random.default_rng(n), text) for n, (film, text) in enumerate(zip(films, texts, strict=True))
    ]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    seen = []
    for _ in range(20):
        output = model(batch, 0.0)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append({name: value.item() for name, value in output.scalars.items()})
    assert seen[-1]["image_loss"] < 0.95 * seen[0]["image_loss"]
    assert seen[-1]["report_loss"] < 0.8 * seen[0]["report_loss"]
    assert set(model.clock.read()) == {"image", "text", "loss"}


@pytest.mark.slow
def test_one_step_at_full_size() -> None:
    torch.manual_seed(0)
    model = MRM(PRESETS["mrm"], vocabulary_of(30_000))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    tokens = torch.randint(4, 30_000, (2, 100))
    batch = {
        IMAGE: torch.randint(0, 256, (2, 1, 448, 448), dtype=torch.uint8),
        MASK_NOISE: torch.rand(2, 196),
        TOKENS: tokens,
        TOKEN_MASK: torch.ones_like(tokens),
        MASKED: torch.rand(2, 100) < 0.5,
    }
    first = model(batch, 0.0).loss
    first.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    optimizer.step()
    assert model(batch, 0.0).loss < first
