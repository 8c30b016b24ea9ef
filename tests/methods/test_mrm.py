"""Masked record modelling: golden vectors of the official code, the slow oracle, variants, views, starts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
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
