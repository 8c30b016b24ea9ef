"""What a table needs is said file by file, and what of it is there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.check import Need, counts_text, dry_run, missing, needs_of, pretraining, ready
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.record import PaperTable
from hilum.tables.stand_in import make_stand_in


def table(name: str) -> PaperTable:
    found = lookup(TABLES, name, kind="table")()
    assert isinstance(found, PaperTable)
    return found


def test_with_nothing_there_everything_is_missing_to_the_release(tmp_path: Path) -> None:
    needs = missing(table("mrm-table-1"), tmp_path)
    assert not any(need.there for need in needs)
    paths = [need.path for need in needs]
    assert "chexpert/manifest.parquet" in paths
    assert "releases/CheXpert-v1.0-small/train.csv" in paths
    assert "siim-pneumothorax/masks" in paths
    assert "releases/MRM-pytorch/DatasetsSplits/RSNA_Pneumonia" in paths
    assert len(paths) == len(set(paths))
    assert "label.Edema" in needs[0].what


def test_a_prepared_folder_is_enough(films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS["siim-pneumothorax"]
    make_stand_in(data_set, tmp_path, films)
    needs = needs_of(data_set, tmp_path)
    assert all(need.there for need in needs)
    assert [need.path for need in needs] == ["siim-pneumothorax/manifest.csv", "siim-pneumothorax/masks"]
    assert "train 46 (published: 7,969)" in needs[0].what
    assert ready(data_set, tmp_path)


def test_masks_may_be_run_lengths(films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS["siim-pneumothorax"]
    folder = make_stand_in(data_set, tmp_path, films)
    (folder / "masks").rename(tmp_path / "elsewhere")
    assert [need.path for need in needs_of(data_set, tmp_path) if not need.there] == ["siim-pneumothorax/masks"]
    (folder / "masks.csv").write_text("ImageId,EncodedPixels\n")
    assert ready(data_set, tmp_path)


def test_a_missing_column_is_named(films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS["rsna-pneumonia"]
    manifest = make_stand_in(data_set, tmp_path, films) / "manifest.csv"
    pd.read_csv(manifest).rename(columns={"label.Pneumonia": "label.Mass"}).to_csv(manifest, index=False)
    lost = [need for need in needs_of(data_set, tmp_path) if not need.there]
    what = "1, 0, -1 (uncertain) or blank"
    assert lost == [Need("rsna-pneumonia/manifest.csv: label.Pneumonia", False, what)]
    assert not ready(data_set, tmp_path)


def test_a_parquet_manifest_is_read_too(films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS["jsrt"]
    manifest = make_stand_in(data_set, tmp_path, films) / "manifest.csv"
    pd.read_csv(manifest).to_parquet(manifest.with_suffix(".parquet"))
    manifest.unlink()
    assert ready(data_set, tmp_path)
    assert counts_text(data_set, manifest.with_suffix(".parquet")).endswith("test 21 (published: 50)")


def test_no_finding_may_be_derived(films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS["covidx-cxr-3a"]
    manifest = make_stand_in(data_set, tmp_path, films) / "manifest.csv"
    pd.read_csv(manifest).drop(columns="label.NoFinding").to_csv(manifest, index=False)
    assert ready(data_set, tmp_path)


def test_a_dry_run_says_data_defects_protocols_and_encoders(films: Path, tmp_path: Path) -> None:
    make_stand_in(DATA_SETS["chexpert"], tmp_path, films)
    said = dry_run(table("mrm-table-1"), tmp_path, {"mrm": str(tmp_path / "no"), "mine": str(tmp_path)})
    assert "there   chexpert/manifest.csv" in said
    assert "MISSING rsna-pneumonia/manifest.parquet" in said
    assert "1,837 of the 4,560 validation patients" in said
    assert "preset mrm-finetune-rsna-10" in said
    assert f"mrm: MISSING {tmp_path / 'no'}; made by python recipes/mrm.py" in said
    assert "mine: a row of its own" in said
    assert "refers: not given" in said
    assert said.endswith("things are missing.\n")
    make_stand_in(DATA_SETS["mimic-cxr-retrieval"], tmp_path, films)
    assert dry_run(table("medim-table-2"), tmp_path).endswith("Nothing is missing.\n")


def test_every_encoder_of_the_papers_own_has_its_command() -> None:
    own = {"mrm": "mrm-table-1", "maco": "maco-table-1", "medim": "medim-table-1", "cxrbase": "cxrbase-table-1"}
    for encoder, name in own.items():
        assert pretraining(table(name))[encoder].startswith(f"python recipes/{encoder}.py")
    parts = pretraining(table("mrm-table-5"))
    assert parts["mrm-half-hidden"].endswith("--part half_hidden")
    assert parts["mrm-lambda-2"].endswith("--part lambda_2")
    assert pretraining(table("medim-table-3"))["medim-kwm"].endswith("--part kwm")
    assert pretraining(table("maco-table-5"))["maco-clip"].endswith("--part clip")
    assert pretraining(table("mrm-table-4"))["imagenet-mae"] == ""
