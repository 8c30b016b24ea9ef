"""Converted encoders with a text side, from the file to zero-shot, retrieval and grounding of phantom films."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import hilum
from hilum.datasets.phantom.write import write_phantom
from hilum.encoder import Encoder
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding, judge_grounding
from hilum.evaluation.search import Retrieval, run_retrieval
from hilum.evaluation.zero_shot import ZeroShot, judge_zero_shot
from hilum.manifest import Manifest
from tests.released.layouts.test_biovil import write_cxr_bert
from tests.released.report_files import Maker, words
from tests.released.stand_ins import biovil, gloria, mgca
from tests.released.stand_ins import cxr_bert as cxr_bert_file

RUNNER = Runner(device="cpu", batch_size=8, quiet=True)
CELLS = {"biovil": 15, "gloria": 19, "mgca": 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=14, size=64, progress=False)
    table = Manifest.read(root).table.copy()
    table["split"] = "test"
    Manifest.from_table(table, root).write(root)
    return root


@pytest.fixture(scope="module")
def encoders(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Encoder]:
    """Loads a stand-in with a tokenizer that knows the commonest words of the reports."""
    folder = tmp_path_factory.mktemp("files")
    said = pd.Series(re.findall(r"[a-z]+", " ".join(Manifest.read(data).table["report"]).lower()))
    reader = folder / "words"
    words(reader, more=list(said.value_counts().index))
    write_cxr_bert(folder / "cxr-bert", cxr_bert_file(Maker()))
    (folder / "cxr-bert" / "vocab.txt").write_text((reader / "vocab.txt").read_text())
    files = {"biovil": biovil, "gloria": gloria, "mgca": mgca}

    def load(name: str) -> Encoder:
        path = folder / f"{name}.pt"
        torch.save(files[name](Maker()), path)
        if name == "biovil":
            return hilum.load(path, text=folder / "cxr-bert")
        return hilum.load(path, tokenizer=reader, text_heads=2)

    return load


@pytest.mark.parametrize("name", list(CELLS))
def test_from_the_file_to_three_pages(
    name: str, data: Path, encoders: Callable[[str], Encoder], tmp_path: Path
) -> None:
    encoder = encoders(name)
    assert encoder.origin["layout"] == name
    out = tmp_path / "zero shot"
    judge_zero_shot(encoder, str(data), str(out), ZeroShot(draws=5), runner=RUNNER)
    scores = pd.read_parquet(out / "predictions.parquet").filter(like="score.")
    assert scores.shape[1] > 5
    assert ((scores > 0.1) & (scores < 0.9)).all(axis=None)  # a softmax over two cosines
    assert (scores.nunique() > 1).all()

    found = run_retrieval(encoder, str(data), str(tmp_path / "found"), Retrieval(draws=5, examples=0), runner=RUNNER)
    ranks = [
        found["directions"][way]["study"]["median_rank"]["value"] for way in ("image_to_report", "report_to_image")
    ]
    assert all(rank >= 1 for rank in ranks)

    judged = judge_grounding(
        encoder, str(data), str(tmp_path / "ground"), Grounding(draws=5, examples=0, sentences="report"), runner=RUNNER
    )
    assert judged["counts"]["questions"] > 0
    assert np.isfinite(judged["ways"]["without_prior"]["miou"]["micro"]["value"])
    if encoder.require_towers()[0].config.aligns_words:  # then single words can be asked for, as GLoRIA does
        asked = Grounding(draws=5, examples=0, sentences="report", preset="gloria")
        by_words = judge_grounding(encoder, str(data), str(tmp_path / "words"), asked, runner=RUNNER)
        assert by_words["counts"]["questions"] == judged["counts"]["questions"]
    assert encoder.require_towers()[0].config.aligns_words == (name in ("gloria", "mgca"))
    film = encoder.transform(np.full((90, 70), 60, dtype=np.uint8))[None]
    assert encoder.project_tokens(film).shape[1] == CELLS[name] ** 2
