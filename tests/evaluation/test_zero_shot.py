"""Zero-shot from sentences to a results page, with an encoder whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.zero_shot import ZeroShot, judge_zero_shot
from hilum.manifest import Manifest
from tests.evaluation.joint_encoders import BlindEncoder, LookupEncoder

RUNNER = Runner(device="cpu", batch_size=16, quiet=True)
PROMPTS = """
Mass:
  positive: [There is a mass., Massive.]
  negative: [No mass.]
Effusion:
  positive: [There is an effusion.]
  negative: [No effusion.]
Hernia:
  positive: [There is a hernia.]
  negative: [No hernia.]
"""
SAID = {  # sentence -> vector; "Massive." is long and wrong, which unit length tames
    "There is a mass.": (1.0, 0.0),
    "Massive.": (0.0, -9.0),
    "No mass.": (-1.0, 0.0),
    "There is an effusion.": (0.0, 1.0),
    "No effusion.": (0.0, -1.0),
}


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.yaml"
    path.write_text(PROMPTS)
    return str(path)


@pytest.fixture
def knowing(films: Path) -> LookupEncoder:
    """Film vectors are (mass, effusion) as +-1, with some noise."""
    manifest = Manifest.read(films)
    labels = np.nan_to_num(manifest.labels(("Mass", "Effusion")))
    noise = np.random.default_rng(0).normal(0, 0.7, labels.shape)
    vectors = torch.from_numpy(2 * labels - 1 + noise).float()
    return LookupEncoder(manifest, lambda text: torch.tensor(SAID[text]), films=vectors)


def test_scores_are_the_softmax_of_the_pair_and_are_judged_like_any(
    knowing: LookupEncoder, films: Path, prompts: str, tmp_path: Path
) -> None:
    out = tmp_path / "zero shot"
    judged = judge_zero_shot(knowing, str(films), str(out), ZeroShot(prompts=prompts, draws=50), runner=RUNNER)
    assert {path.name for path in out.iterdir()} == {
        "results.html",
        "results.md",
        "results.json",
        "predictions.parquet",
    }
    table, results = pd.read_parquet(out / "predictions.parquet"), json.loads((out / "results.json").read_text())
    manifest = Manifest.read(films)
    rows = np.flatnonzero((manifest.table["split"] == "test").to_numpy())
    unit = torch.nn.functional.normalize(knowing.films[rows].double(), dim=1).numpy()  # type: ignore[index]
    mass = np.array([1.0, -1.0]) / np.sqrt(2)  # the mean of two unit sentences, at unit length
    expected = {"Mass": unit @ mass + unit[:, 0], "Effusion": 2 * unit[:, 1]}
    for finding, gap in expected.items():
        np.testing.assert_allclose(table[f"score.{finding}"], 1 / (1 + np.exp(-gap)), rtol=1e-6)
        known = table[f"label.{finding}"].notna()
        auroc = roc_auc_score(table[f"label.{finding}"][known], table[f"score.{finding}"][known])
        assert results["findings"][finding]["auroc"]["value"] == pytest.approx(auroc)
        assert results["findings"][finding]["threshold"] is None
    assert results["findings"]["Effusion"]["n_blank"] == int(table["label.Effusion"].isna().sum()) > 0
    assert "Hernia" in results["notes"][0]  # prompts of one's own for what has no labels are named
    assert "No label was used" in (out / "results.html").read_text()
    assert judged.page == out / "results.html"


def test_the_released_maco_way_differs(knowing: LookupEncoder, films: Path, prompts: str, tmp_path: Path) -> None:
    options = ZeroShot(prompts=prompts, draws=10, scoring="maco-released", labels=("Mass",))
    judged = judge_zero_shot(knowing, str(films), str(tmp_path / "out"), options, runner=RUNNER)
    rows = np.flatnonzero((Manifest.read(films).table["split"] == "test").to_numpy())
    raw = knowing.films[rows].double().numpy()  # type: ignore[index]
    gap = raw @ np.array([0.5, -4.5]) - raw @ np.array([-1.0, 0.0])
    np.testing.assert_allclose(judged.predictions["score.Mass"], 1 / (1 + np.exp(-gap)), rtol=1e-6)


def test_findings_without_prompts_are_named_and_left_out(films: Path, tmp_path: Path, knowing: LookupEncoder) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("Effusion:\n  positive: [There is an effusion.]\n  negative: [No effusion.]\n")
    judged = judge_zero_shot(
        knowing, str(films), str(tmp_path / "out"), ZeroShot(prompts=str(path), draws=10), runner=RUNNER
    )
    assert judged.results["notes"][0] == "Left out, since the prompts file has no sentences for it: Mass."
    assert list(judged.results["findings"]) == ["Effusion"]


def test_validation_thresholds_are_those_of_the_val_split(
    knowing: LookupEncoder, films: Path, prompts: str, tmp_path: Path
) -> None:
    options = ZeroShot(prompts=prompts, draws=10, thresholds="validation", policy="zeros,Mass=ones")
    judged = judge_zero_shot(knowing, str(films), str(tmp_path / "out"), options, runner=RUNNER)
    for row in judged.results["findings"].values():
        assert 0 < row["threshold"] < 1
        assert row["at_validation_threshold"]["f1"]["value"] > 0.5
    assert "Uncertain labels count as zeros, Mass as ones." in judged.results["notes"]


def test_what_cannot_be_is_one_clear_sentence(
    knowing: LookupEncoder, films: Path, prompts: str, tmp_path: Path
) -> None:
    def ask(encoder: LookupEncoder, **changes: object) -> None:
        options = ZeroShot(**{"prompts": prompts, "draws": 10, **changes})  # type: ignore[arg-type]
        judge_zero_shot(encoder, str(films), str(tmp_path / "out"), options, runner=RUNNER)

    with pytest.raises(CheckpointError, match="has no text tower"):
        ask(BlindEncoder())
    with pytest.raises(ConfigError, match="unknown finding 'Hernia'"):
        ask(knowing, labels=("Hernia",))
    with pytest.raises(ManifestError, match="no films in the test split with views LATERAL"):
        ask(knowing, views=("LATERAL",))
    other = tmp_path / "other.yaml"
    other.write_text("Nodule:\n  positive: [a]\n  negative: [b]\n")
    with pytest.raises(ConfigError, match=r"no prompts for any of the findings asked for \(Mass, Effusion\)"):
        ask(knowing, prompts=str(other))
    broken = LookupEncoder(
        Manifest.read(films), knowing.text, films=torch.where(torch.arange(120)[:, None] == 9, torch.nan, knowing.films)
    )
    with pytest.raises(CheckpointError, match="no finite vector for 1 films, first '9'"):
        ask(broken)
    assert not (tmp_path / "out").exists()


def test_several_encoders_answer_as_one(knowing: LookupEncoder, films: Path, prompts: str, tmp_path: Path) -> None:
    """CheXzero's ensemble: the mean of the probabilities of its checkpoints."""
    assert knowing.films is not None
    manifest = Manifest.read(films)
    other = LookupEncoder(manifest, knowing.text, films=knowing.films.flip(0))
    options = ZeroShot(prompts=prompts, draws=50)
    alone = [
        judge_zero_shot(one, str(films), str(tmp_path / f"{n}"), options, runner=RUNNER).predictions
        for n, one in enumerate((knowing, other))
    ]
    joint = judge_zero_shot(knowing, str(films), str(tmp_path / "both"), options, also=[other], runner=RUNNER)
    for name in ("score.Mass", "score.Effusion"):
        mean = (alone[0][name] + alone[1][name]) / 2
        np.testing.assert_allclose(joint.predictions[name], mean)
        assert not np.allclose(mean, alone[0][name])
    assert json.loads((tmp_path / "both" / "results.json").read_text())["context"]["encoder"] == "given, given"
