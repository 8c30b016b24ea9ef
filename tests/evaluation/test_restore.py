"""`hilum restore` from a trained method to its page: numbers, pictures, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.restoration import OWN
from hilum.evaluation.restore import Restoration, run_restoration
from hilum.loader import ManifestDataset
from hilum.manifest import Manifest
from hilum.methods.mrm import MRM, PRESETS
from hilum.models.text import TextConfig
from hilum.reports import reports_of
from hilum.results.restoration import summary_lines
from hilum.schema import IMAGE_ID
from hilum.transforms.text import WordPiece

RUNNER = Runner(device="cpu", batch_size=16, quiet=True)
CONFIG = replace(
    PRESETS["phantom"],
    image_size=32,
    vit={"patch_size": 8, "depth": 2},
    decoder_width=16,
    decoder_depth=1,
    text=TextConfig(width=48, depth=2, heads=2, hidden=96, positions=48),
    length=48,
    mask_ratio=0.5,
    crop_scale=(1.0, 1.0),
)


def trained(data: Path, *, steps: int, with_film: bool = True) -> MRM:
    """A small MRM after some steps on all training films at once; what a film says depends on its pixels."""
    from hilum.films import FilmStore

    films = Manifest.read(data).select(split="train")
    reports = reports_of(films)
    config = CONFIG if with_film else replace(CONFIG, image_vector_on="none")
    torch.manual_seed(0)
    method = MRM(config, WordPiece.train(reports.texts, vocab_size=120))
    ids = films.table["image_id"].tolist()
    dataset = ManifestDataset(FilmStore(films), ids, method.views(), seed=0, reports=reports)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=2e-3)
    for step in range(steps):
        samples = [dataset[(step, row)] for row in range(len(ids))]
        batch = {key: torch.stack([s[key] for s in samples]) for key in samples[0] if key != IMAGE_ID}
        method(batch, 0.0).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return method.eval()


@pytest.fixture(scope="module")
def method(reported_data: Path) -> MRM:
    return trained(reported_data, steps=60)


def test_the_page_and_its_numbers(reported_data: Path, method: MRM, tmp_path: Path) -> None:
    alone = trained(reported_data, steps=2, with_film=False)
    options = Restoration(draws=50, examples=2, reference=10)
    results = run_restoration(
        method, str(reported_data), str(tmp_path / "a"), options, report_alone=alone, runner=RUNNER
    )
    names = {file.name for file in (tmp_path / "a").iterdir()}
    assert names == {"results.json", "results.md", "results.html", "words.parquet", "restored.png"}
    assert json.loads((tmp_path / "a/results.json").read_text()) == results
    assert results["conditions"] == [OWN, "mean_film", "other_film", "report_alone"]
    assert results["counts"]["films"] == 8
    assert results["counts"]["patients"] == 4
    words = pd.read_parquet(tmp_path / "a/words.parquet")
    for name in results["conditions"]:
        value = results["masked_words"]["all"]["accuracy"][name]["value"]
        assert value == pytest.approx(words[f"right.{name}"].mean())
    own = results["masked_words"]["all"]["accuracy"]
    assert own[OWN]["value"] > 0.3  # most of a report is formula; without training 1 in 100
    assert own[OWN]["value"] > own["report_alone"]["value"]
    page = (tmp_path / "a/results.html").read_text()
    assert page.count("data:image/jpeg") == 6
    assert "script" not in page
    assert 'class="right"' in page
    sheet = np.asarray(Image.open(tmp_path / "a/restored.png"))
    assert sheet.ndim == 3
    assert (sheet != sheet[..., :1]).any()  # coloured words
    assert any("with its own film" in line for line in summary_lines(results))
    again = run_restoration(method, str(reported_data), str(tmp_path / "b"), options, report_alone=alone, runner=RUNNER)
    assert again == results


def test_without_a_second_run_the_page_says_what_stands_in(reported_data: Path, method: MRM, tmp_path: Path) -> None:
    options = Restoration(split="val", draws=10, examples=0)
    results = run_restoration(method, str(reported_data), str(tmp_path / "a"), options, runner=RUNNER)
    assert results["conditions"] == [OWN, "mean_film", "other_film"]
    assert any("--report-alone" in note for note in results["notes"])
    assert not (tmp_path / "a/restored.png").exists()


def test_the_whole_film_may_be_shown(reported_data: Path, method: MRM, tmp_path: Path) -> None:
    made = {}
    for ratio in (None, 0.0):
        options = Restoration(draws=10, examples=1, mask_ratio=ratio)
        made[ratio] = run_restoration(method, str(reported_data), str(tmp_path / str(ratio)), options, runner=RUNNER)
    assert made[None]["context"]["hidden_of_the_film"] == method.config.mask_ratio == 0.5
    assert made[0.0]["context"]["hidden_of_the_film"] == 0.0
    words = [pd.read_parquet(tmp_path / str(ratio) / "words.parquet") for ratio in (None, 0.0)]
    assert words[0]["truth"].equals(words[1]["truth"])  # the same words are hidden
    pictures = [(tmp_path / str(ratio) / "restored.png").read_bytes() for ratio in (None, 0.0)]
    assert pictures[0] != pictures[1]


def test_a_second_run_must_be_comparable(reported_data: Path, method: MRM, tmp_path: Path) -> None:
    def refused(other: MRM, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            run_restoration(method, str(reported_data), str(tmp_path), Restoration(), report_alone=other, runner=RUNNER)

    alone = replace(CONFIG, image_vector_on="none")
    refused(method, "reads films too")
    refused(MRM(replace(CONFIG, report_loss=False), method.tokenizer), "no report decoder")
    refused(MRM(alone, WordPiece.train(["other words entirely"] * 3, vocab_size=50)), "different tokenizers")
    short = replace(alone, text=replace(CONFIG.text, positions=20), length=20)
    refused(MRM(short, method.tokenizer), "reads 20 pieces")


def test_faults_of_the_data_are_named(tiny_data: Path, method: MRM, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no report text"):
        run_restoration(method, str(tiny_data), str(tmp_path), Restoration(), runner=RUNNER)
    with pytest.raises(ConfigError, match="examples"):
        Restoration(examples=-1)
    (tmp_path / "something").touch()
    with pytest.raises(ConfigError):
        run_restoration(method, str(tiny_data), str(tmp_path), Restoration(), runner=RUNNER)
