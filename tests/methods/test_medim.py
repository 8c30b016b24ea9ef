"""MedIM: the official numbers through the method, views, masks, ablations, variants, devices, learning."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.config import override
from hilum.errors import ConfigError
from hilum.losses.gather import rank, world
from hilum.methods.medim import PRESETS, VARIANTS, Config, MedIM
from hilum.methods.medim.method import Film, Report
from hilum.methods.medim.views import (
    PIECE_WORDS,
    SENTENCE_WORDS,
    TERM_WORDS,
    MedIMViews,
    draw_sentence,
    draw_some,
    pad_square,
)
from hilum.methods.method import Output, ReportViews
from hilum.models.resnet import ResNet
from hilum.models.text import TextConfig
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, REPORT_GROUP, TOKEN_MASK, TOKENS
from hilum.transforms.text import WordPiece
from tests.processes import in_processes
from tests.words import vocabulary_of

REPORTS = (
    "The heart is enlarged. Small pleural effusion on the left side. No pneumothorax.",
    "Heart size is normal. The lungs are clear.",
    "There is a mass in the right upper lobe of the lung. No effusion.",
    "Unremarkable.",
    "Left lower lobe opacity, possibly pneumonia. The heart is normal in size.",
    "No acute process is seen in either lung today.",
    "Nothing whatsoever was said about anybody here.",
    "Right pleural effusion is large. Trachea is shifted to the left.",
)
WORDS = WordPiece.train(REPORTS, vocab_size=300, style="bert")
SMALL = Config(
    model="vit_tiny_patch16",
    image_size=16,
    channels=1,
    mean=(0.5,),
    std=(0.25,),
    vit={"patch_size": 4, "width": 12, "depth": 2, "heads": 3},
    text=TextConfig(width=12, depth=1, heads=2, hidden=16, positions=48),
    dim=8,
    hidden=16,
    prototypes=6,
    decoder=(8, 6),
    length=48,
    sentences="all",
)
RESNET = {"enlarged": 32, "stem": 4, "planes": 2, "blocks": [1, 1, 1, 1]}
RESNET_SMALL = replace(SMALL, model="resnet50", resnet=RESNET, decoder=(8, 6, 4, 4))


def variant(name: str, base: Config = SMALL, **more: Any) -> Config:
    return override(override(base, VARIANTS[name], where="variant"), more, where="test")


def undropped(config: Config) -> Config:
    """The same without the released dropout, whose draws are the device's."""
    return replace(config, text=replace(config.text, dropout=0.0))


def built(config: Config, words: WordPiece = WORDS) -> MedIM:
    torch.manual_seed(0)
    return MedIM(undropped(config), words)


def batch_of(config: Config, films: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Films of noise with the reports above; the fourth report was lost, the last two films share a study."""
    draws = np.random.default_rng(seed)
    views = built(config).views()
    samples = []
    for number in range(films):
        film = draws.integers(0, 256, (20, 18), dtype=np.uint8)
        samples.append(views(film, np.random.default_rng([seed, number]), REPORTS[number] if number != 3 else ""))
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    batch[HAS_REPORT] = torch.tensor([True, True, True, False, True, True, True, True])[:films]
    batch[REPORT_GROUP] = torch.tensor([0, 1, 2, 3, 4, 5, 6, 6])[:films]
    return batch


# --- golden vectors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["vit", "resnet"])
def test_golden_losses_through_the_method(shared: Path, case: str) -> None:
    """The official forward pass, whose encoders are replaced by given features, in the variant `released`."""
    golden = np.load(shared / f"golden/medim/forward_{case}.npz")

    def given(name: str) -> Tensor:
        return torch.from_numpy(golden[f"in/{name}"])

    grid, width = given("imgs").shape[-1] // 16, given("patch_feat").shape[-1]
    base = replace(
        SMALL,
        image_size=16 * grid,
        channels=3,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        vit={"width": width, "heads": 2, "depth": 1},
        dim=width,
        decoder=(16, 12, 8, 6),
        prototypes=len(given("prototypes")),
    )
    model = built(variant("released", base))
    model.prototypes.data.copy_(F.normalize(given("prototypes"), dim=1))
    prefix = "ckpt/img_decoder_q.model."
    decoder = {key.removeprefix(prefix): torch.from_numpy(golden[key]) for key in golden if key.startswith(prefix)}
    assert model.decoder is not None
    model.decoder.load_state_dict(decoder)
    patches, words = given("patch_feat"), F.normalize(given("word_feat"), dim=2)
    seen = given("img_attention_map")[:, :, 0, 1:].mean(1) if case == "vit" else None
    film = Film(given("imgs"), patches, F.normalize(patches, dim=2), given("img_feat"), seen)
    real = torch.arange(words.shape[1]) < given("lens")[:, None]
    report = Report(words, real, given("word_attn"), given("report_feat"))
    cells = grid * grid
    batch = {
        HAS_REPORT: torch.ones(len(words), dtype=torch.bool),
        REPORT_GROUP: torch.zeros(len(words), dtype=torch.int64),  # the released code knows no groups
        TERM_WORDS: given("mask_MeSH")[:, 1:] > 0,
        SENTENCE_WORDS: (given("all_sents_mask") == given("select_sent_id"))[:, 1:],
        MASK_NOISE: torch.rand(len(words), 2, cells),
    }
    ita, local, proto = model._alignment(film, report, batch)
    masks = model._masks(film, report, batch)
    for head, name in (("word", "kwm"), ("sent", "sdm")):
        close(masks[head].attention, golden[f"out/{name}_attention"].reshape(-1, cells))
        kept = torch.from_numpy(golden[f"out/{name}_keep_released_seeded"]).flatten(1)
        assert torch.equal((~masks[head].hidden).sum(1), kept.sum(1))  # the cells are drawn, their number is not
        masks[head] = replace(masks[head], hidden=~kept)
    errors = model._restoration(film, masks)
    for name, got in (("ita", ita), ("local", local), ("proto", proto)):
        close(got, golden[f"out/loss_{name}"])
    close(errors["word"], golden["out/mse_kwm"])
    close(errors["sent"], golden["out/mse_sdm"])
    restoration = 5 * (errors["word"] + errors["sent"])
    close(restoration, golden["out/loss_re"])
    close(ita + 0.7 * local + 0.5 * proto + restoration, golden["out/total_class_default"])


def close(got: Tensor, want: Any) -> None:
    torch.testing.assert_close(got, torch.from_numpy(np.asarray(want)), rtol=2e-4, atol=2e-5)


# --- views ----------------------------------------------------------------------------------------------------------


def test_views_mark_terms_and_one_sentence() -> None:
    views = built(SMALL).views()
    assert isinstance(views, ReportViews)
    film = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    sample = views(film, np.random.default_rng(1), REPORTS[0])
    again = views(film, np.random.default_rng(1), REPORTS[0])
    assert all(torch.equal(sample[key], again[key]) for key in sample)
    assert sample[IMAGE].shape == (1, 16, 16)
    assert sample[MASK_NOISE].shape == (2, 16)
    words = [word.strip(".,").lower() for word in REPORTS[0].split()]
    assert int(sample[PIECE_WORDS].max()) + 1 == len(words)
    terms = {word for word, marked in zip(words, sample[TERM_WORDS].tolist(), strict=False) if marked}
    assert {"heart", "pleural", "effusion", "pneumothorax"} <= terms
    assert "the" not in terms
    drawn = {
        tuple(views(film, np.random.default_rng(seed), REPORTS[0])[SENTENCE_WORDS].nonzero().flatten().tolist())
        for seed in range(40)
    }
    assert drawn == {tuple(range(4)), tuple(range(4, 11))}  # "no pneumothorax" is too short to be preferred


def test_a_report_without_words_or_beyond_the_room() -> None:
    views = built(SMALL).views()
    film = np.zeros((20, 20), dtype=np.uint8)
    for text in ("", "...", "___"):
        sample = views(film, np.random.default_rng(0), text)
        assert not sample[TERM_WORDS].any()
        assert not sample[SENTENCE_WORDS].any()
        assert (sample[PIECE_WORDS] == -1).all()
    sample = views(film, np.random.default_rng(0), "The heart is enlarged here. " * 2000)
    assert int(sample[TOKEN_MASK].sum()) == SMALL.length
    assert sample[SENTENCE_WORDS].sum() in (3, 4, 5)


def test_some_sentences_are_whole_and_in_order() -> None:
    words, sentences = [*"abcdefg"], [0, 0, 1, 2, 2, 2, 3]
    drawn = [draw_some(words, sentences, np.random.default_rng(seed)) for seed in range(400)]
    counts = np.bincount([len(set(numbers)) for _, numbers in drawn], minlength=5)[1:]
    assert counts.min() > 70  # one, two, three or all four alike
    for kept, numbers in drawn:
        assert kept == [word for word, number in zip(words, sentences, strict=True) if number in set(numbers)]
        assert numbers == sorted(numbers)
    views = MedIMViews(replace(SMALL, sentences="some"), WORDS, 16)
    film = np.zeros((20, 20), dtype=np.uint8)
    lengths = {int(views(film, np.random.default_rng(s), REPORTS[0])[PIECE_WORDS].max()) + 1 for s in range(60)}
    assert lengths == {2, 4, 6, 7, 9, 11, 13}


def test_the_sentence_drawn() -> None:
    sentences = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    chosen = [draw_sentence(sentences, draw).nonzero()[0].tolist() for draw in (0.0, 0.49, 0.51, 0.99)]
    assert chosen == [[2, 3, 4, 5]] * 2 + [[6, 7, 8, 9]] * 2
    assert draw_sentence(np.array([0, 0, 1]), 0.9).tolist() == [False, False, True]
    assert not len(draw_sentence(np.zeros(0, dtype=np.int64), 0.5))


def test_padding_and_jitter_of_films() -> None:
    film = np.full((4, 10), 100, dtype=np.uint8)
    square = pad_square(film)
    assert square.shape == (10, 10)
    assert square.sum() == film.sum()
    assert square[3:7].min() == 100
    config = variant("released", crop=(1.0, 1.0), jitter_chance=0.0, blur_chance=0.0)
    sample = MedIMViews(config, WORDS, 16)(np.full((16, 16), 100, dtype=np.uint8), np.random.default_rng(0), "")
    assert (sample[IMAGE] == 100).all()
    still = variant("hilum", crop=(1.0, 1.0), jitter_chance=1.0)
    flat = np.full((16, 16), 100, dtype=np.uint8)
    greys = {int(MedIMViews(still, WORDS, 16)(flat, np.random.default_rng(s), "")[IMAGE][0, 0, 0]) for s in range(30)}
    assert 80 <= min(greys) < 95
    assert 105 < max(greys) <= 120


# --- the method -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(VARIANTS))
@pytest.mark.parametrize("base", [SMALL, RESNET_SMALL], ids=["vit", "resnet"])
def test_every_weight_learns_and_every_number_is_finite(name: str, base: Config) -> None:
    config = variant(name, base)
    model = built(config)
    batch = batch_of(config)
    output = model(batch, 0.0)
    assert isinstance(output, Output)
    output.loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert all(torch.isfinite(value) and not value.requires_grad for value in output.scalars.values())
    parts = {key: float(value) for key, value in output.scalars.items()}
    total = parts["ita"] + parts["local"] + parts["proto"]
    total += config.restore_weight * (parts["restore_word"] + parts["restore_sent"])
    assert total == pytest.approx(parts["loss"], rel=1e-5)
    assert parts["films_without_terms"] >= 1


def test_prototypes_rest_at_first_and_stay_unit() -> None:
    model = built(SMALL)
    before = model.prototypes.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for progress in (0.0, 0.01, 0.5):
        optimizer.zero_grad()
        model(batch_of(SMALL), progress).loss.backward()
        model.before_step(progress)
        optimizer.step()
        model.after_step(progress)
        torch.testing.assert_close(model.prototypes.norm(dim=1), torch.ones(6))
        assert torch.allclose(model.prototypes, before, atol=1e-6) == (progress < 0.02)


def test_ablations_of_the_paper() -> None:
    batch = batch_of(SMALL)
    align = built(replace(SMALL, kwm=False, sdm=False))
    assert align.decoder is None
    assert set(align(batch, 0.0).scalars) == {"loss", "ita", "local", "proto"}
    words_only = built(replace(SMALL, sdm=False))(batch, 0.0).scalars
    assert "restore_word" in words_only
    assert "restore_sent" not in words_only
    shares = {"high": 0.5, "low": 0.5, "random": 0.5, "none": 0.0}
    for selection, share in shares.items():
        config = override(SMALL, {"selection": selection}, where="test")
        scalars = built(config)(batch, 0.0).scalars
        assert float(scalars["hidden_word"]) == pytest.approx(share)
        assert float(scalars["hidden_sent"]) == pytest.approx(share)
    quarter = built(replace(SMALL, mask_ratio=0.25))(batch, 0.0).scalars
    assert float(quarter["hidden_word"]) == pytest.approx(0.25)


def test_masks_follow_the_words_and_films_without_terms_are_masked_at_random() -> None:
    model, batch = built(SMALL).eval(), batch_of(SMALL)
    masks = model.look(batch)
    assert masks["word"].guided.tolist() == [True, True, True, False, True, True, False, True]
    for film in range(8):
        hidden = masks["word"].hidden[film]
        assert hidden.sum() == 8
        if masks["word"].guided[film]:
            attention = masks["word"].attention[film]
            assert attention[hidden].min() >= attention[~hidden].max()
        else:
            noise = batch[MASK_NOISE][film, 0]
            assert noise[hidden].max() < noise[~hidden].min()
    released = built(variant("released")).eval()
    batch = batch_of(released.config)
    hidden = released.look(batch)["word"].hidden.sum(1)
    assert hidden[3] == int(16 * (1 - 0.9))  # a tenth of all cells, whatever the ratio


def test_pictures_of_a_sheet() -> None:
    for config in (SMALL, RESNET_SMALL, replace(SMALL, kwm=False), replace(SMALL, kwm=False, sdm=False)):
        model, batch = built(config).eval(), batch_of(config)
        del batch[HAS_REPORT], batch[REPORT_GROUP]  # a sheet has views alone
        pictures = model.reconstruct(batch)
        side = 32 if config.model == "resnet50" else 16
        assert {tuple(picture.shape) for picture in pictures.values()} == {(8, 1, side, side)}
        for picture in pictures.values():
            assert picture.min() >= -1e-6
            assert picture.max() <= 1 + 1e-6
        grey = ((pictures["masked"] == 0.5) & (pictures["original"] != 0.5)).float().mean()
        assert float(grey) == pytest.approx(0.5 if config.restores else 0.0, abs=0.05)


def test_hidden_cells_do_not_reach_the_decoder() -> None:
    for value in ("zero", "learned"):
        model = built(override(SMALL, {"mask_value": value}, where="test")).eval()
        batch = batch_of(SMALL)
        film, report = model._film(batch), model._report(batch)
        masks = model._masks(film, report, batch)
        changed = replace(film, map=torch.where(masks["word"].hidden[..., None], film.map + 7.0, film.map))
        with torch.no_grad():
            one, other = (model._draw(given, masks)["word"] for given in (film, changed))
        assert torch.equal(one, other)
        assert (model.mask_token is not None) == (value == "learned")


def test_films_without_a_report_do_not_touch_the_alignment() -> None:
    """Their pixels and the words of an empty text leave alignment and its gradient alone, up to batch statistics."""
    model, batch = built(SMALL), batch_of(SMALL)
    told = {key: value[batch[HAS_REPORT]] for key, value in batch.items()}
    for module in model.modules():  # image projections see all films; with running statistics they are per film
        module.train(False)
    one, other = model(batch, 0.0).scalars, model(told, 0.0).scalars
    for name in ("ita", "local", "proto"):
        torch.testing.assert_close(one[name], other[name])


def test_padding_does_not_matter_unless_released() -> None:
    model, batch = built(SMALL), batch_of(SMALL)
    longer = {
        **batch,
        TOKENS: F.pad(batch[TOKENS], (0, 5)),
        TOKEN_MASK: F.pad(batch[TOKEN_MASK], (0, 5)),
        PIECE_WORDS: F.pad(batch[PIECE_WORDS], (0, 5), value=-1),
        TERM_WORDS: F.pad(batch[TERM_WORDS], (0, 5)),
        SENTENCE_WORDS: F.pad(batch[SENTENCE_WORDS], (0, 5)),
    }
    torch.testing.assert_close(model(batch, 0.0).loss, model(longer, 0.0).loss)


@pytest.mark.parametrize("base", [SMALL, RESNET_SMALL], ids=["vit", "resnet"])
def test_losses_fall(base: Config) -> None:
    model, batch = built(base), batch_of(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history: list[Mapping[str, Tensor]] = []
    for step in range(20):
        optimizer.zero_grad()
        output = model(batch, step / 20)
        output.loss.backward()
        model.before_step(step / 20)
        optimizer.step()
        model.after_step(step / 20)
        history.append(output.scalars)
    for name in ("loss", "ita", "local", "restore_word", "restore_sent"):
        assert history[-1][name] < 0.9 * history[0][name], name


# --- configuration --------------------------------------------------------------------------------------------------


def test_paper_and_code_differ_where_the_sheet_says() -> None:
    paper, released = (asdict(variant(name, PRESETS["medim"])) for name in ("paper", "released"))
    differences = {key: (paper[key], released[key]) for key in paper if paper[key] != released[key]}
    lines = (f"{key}: paper {left!r}, released {right!r}" for key, (left, right) in differences.items())
    sys.stdout.write("\n".join(lines))
    assert differences == {
        "selection": ("high", "diverse"),  # sheet section 3
        "mask_value": ("learned", "zero"),  # section 3: a placeholder in eq. 3, zeros in the code
        "restore_weight": (10.0, 5.0),  # section 2, 4
        "term_rule": ("phrases", "released"),  # section 4: exact single words
        "word_rule": ("whole", "released"),  # golden word_piece_aggregation
        "padded_words": (False, True),  # golden mgca: PAD words not excluded
        "per_device": (False, True),  # section 2, 1: negatives of one device
    }
    hilum, released = asdict(PRESETS["medim"]), asdict(variant("released", PRESETS["medim"]))
    assert {key for key in hilum if hilum[key] != released[key]} == {
        *("selection", "restore_weight", "term_rule", "word_rule", "padded_words", "per_device"),
        *(
            "skip_twins",
            "without_terms",
            "sentences",
            "framing",
            "crop",
            "jitter",
            "blur_chance",
            "preparation",
            "text",
        ),
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask_ratio": 1.0}, "mask_ratio"),
        ({"selection": "hihg"}, "high"),
        ({"model": "resnet18"}, "resnet50"),
        ({"std": (0.5, 0.5)}, "mean and std"),
        ({"length": 2}, "length"),
        ({"crop": (0.9, 0.5)}, "crop"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"prototypes": 0}, "prototypes"),
        ({"jitter": 1.0}, "jitter"),
        ({"restore_weight": -1.0}, "negative"),
        ({"diverse_share": 2.0}, "diverse_share"),
    ],
)
def test_wrong_values_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(SMALL, **change)


def test_a_decoder_that_does_not_lead_back_is_refused() -> None:
    for config in (
        replace(SMALL, decoder=(8,)),
        replace(SMALL, vit={**SMALL.vit, "class_token": False}),
        replace(RESNET_SMALL, resnet={"enlarge": 32}),
    ):
        with pytest.raises(ConfigError):
            _ = config.backbone


def test_full_sizes() -> None:
    words = vocabulary_of(28996, separator=True)
    with torch.device("meta"):
        model = MedIM(PRESETS["medim"], words)
        other = MedIM(PRESETS["medim_resnet50"], words)

    def size(*modules: torch.nn.Module | None) -> int:
        return sum(p.numel() for module in modules if module is not None for p in module.parameters())

    assert size(model.backbone) == 85_798_656
    assert size(model.towers.text) == 65_192_448  # the used part of the first six layers
    assert size(model.decoder) == 5_093_574
    heads = [model.towers.image_head, model.towers.image_local_head, model.towers.text_head]
    assert {size(head) for head in heads} == {1_841_280}
    assert isinstance(other.backbone, ResNet)
    assert other.backbone.config.patches == 400


# --- devices --------------------------------------------------------------------------------------------------------

DEVICES = {
    "vit": SMALL,
    "films": replace(SMALL, local="films"),
    "resnet": RESNET_SMALL,
    "paper": variant("paper", skip_twins=True),
}


def stepped() -> dict[str, Tensor]:
    """Loss, gradients and running statistics of one step of each configuration, on this rank's share of the films."""
    found: dict[str, Tensor] = {}
    for name, config in DEVICES.items():
        model = built(config).double()
        batch = batch_of(config)
        share = len(batch[IMAGE]) // world()
        mine = {key: value[rank() * share : (rank() + 1) * share] for key, value in batch.items()}
        mine[IMAGE] = (mine[IMAGE] / 255).double() * 4 - 2
        loss = model(mine, 0.0).loss
        loss.backward()
        found[f"{name} loss"] = loss.detach()[None]
        found |= {f"{name} d {key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
        found |= {f"{name} {key}": value for key, value in model.named_buffers() if "running" in key}
    return found


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    alone = stepped()
    first, second = in_processes("tests.methods.test_medim:stepped", tmp_path)
    assert alone.keys() == first.keys()
    for key, want in alone.items():
        got = first[key] if "running" in key else (first[key] + second[key]) / 2
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6, msg=key)
