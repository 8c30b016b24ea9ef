"""`hilum predict` from the folder of films to the page: scores as in `hilum evaluate`, and faults that are said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.cli import main
from hilum.commands.predict import predict
from hilum.errors import CheckpointError, ConfigError, UserError
from hilum.evaluation.features import Runner
from hilum.evaluation.judge import judge
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.prediction.run import Asked, Predicted, predict_films
from hilum.ingest.run import prepare_folder
from tests.evaluation.prediction.conftest import RECORD, write_run

RUNNER = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def predicted(run: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    out = tmp_path_factory.mktemp("predicted") / "deep" / "out"
    asked = Asked(maps="auto", examples=2)
    return predict_films(str(run), [str(folder)], str(out), asked, runner=RUNNER, workers=1, command="hilum predict")


def test_what_is_written(predicted: Predicted) -> None:
    out, table = predicted.folder, predicted.table
    names = {path.name for path in out.iterdir()}
    pages = {"results.html", "results.md", "results.json"}
    assert names == {"predictions.csv", "predictions.parquet", "unread.csv", "maps"} | pages
    assert sorted(path.name for path in out.parent.iterdir()) == ["hilum.key", "out"]
    pd.testing.assert_frame_equal(pd.read_parquet(out / "predictions.parquet"), table)
    assert len(pd.read_csv(out / "predictions.csv")) == len(table) == 4
    assert table["called.Mass"].tolist() == [int(score >= 0.5) for score in table["score.Mass"]]
    assert table["called.Effusion"].isna().all()
    assert table["score.Mass"].between(0, 1).all()
    assert table["score.Mass"].nunique() == 4
    results = json.loads((out / "results.json").read_text())
    assert results == predicted.results
    assert results["task"] == "prediction"
    assert results["counts"] == {"films": 4, "unread": 2, "called": {"Mass": int(table["called.Mass"].sum())}}
    assert results["maps"] == {"way": "cam", "names": ["Mass", "Effusion"]}
    assert "Effusion: no positive film in validation." in results["notes"]
    page = (out / "results.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 3
    assert "4 films, 2 more could not be read" in (out / "results.md").read_text()
    assert len(list((out / "maps").glob("*.npz"))) == 4
    assert predicted.lines[0].startswith("4 films read, 2 not")


def test_no_name_of_a_patient_leaves(predicted: Predicted) -> None:
    for path in predicted.folder.rglob("*"):
        assert not re.search("DOE|JANE|SECRET|IM0", str(path.relative_to(predicted.folder)))
        if path.suffix in (".csv", ".json", ".md", ".html"):
            assert not re.search("DOE|JANE|SECRET|IM0|broken", path.read_text()), path
        elif path.is_file():
            assert not re.search(b"DOE|JANE|SECRET", path.read_bytes()), path


def test_file_names_on_demand(run: Path, folder: Path, tmp_path: Path) -> None:
    found = predict_films(str(run), [str(folder)], str(tmp_path / "out"), Asked(files=True), runner=RUNNER, workers=1)
    assert list(found.table["file"]) == ["DOE_JANE/IM0.dcm", "DOE_JANE/IM1.dcm", "square.png", "wide.jpg"]
    assert found.results["unread"][0]["film"] == "DOE_JANE/broken.dcm"


def test_the_scores_are_those_of_evaluate(run: Path, films: Path, tmp_path: Path) -> None:
    judged = judge(str(run), str(films), out=str(tmp_path / "judged"), draws=20, runner=RUNNER, command="")
    asked = Asked(split="test")
    given = predict_films(str(run), [str(films)], str(tmp_path / "given"), asked, runner=RUNNER, workers=1)
    raw = predict_films(str(run), [str(films / "images")], str(tmp_path / "raw"), Asked(), runner=RUNNER, workers=1)
    wanted = judged.table.set_index("image_id")
    assert list(given.table["image_id"]) == list(wanted.index)
    raw_rows = raw.table.set_index("image_id").loc[[Path(image).stem for image in wanted.index]]
    for name in RECORD.findings:
        np.testing.assert_allclose(given.table[f"score.{name}"], wanted[f"score.{name}"], rtol=1e-6)
        np.testing.assert_allclose(raw_rows[f"score.{name}"], wanted[f"score.{name}"], rtol=1e-6)
    assert "files" not in given.results["context"]
    assert given.results["context"]["films"] == "as they came"


def test_new_films_are_prepared_as_those_of_training(folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "a.key"
    data = tmp_path / "data"
    prepare_folder(folder, data, size=48, fit="pad", key=key, workers=1, quiet=True)
    record = replace(RECORD, origin={**RECORD.origin, "prepared": {"size": 48, "fit": "pad"}})
    run = str(write_run(tmp_path / "run", record))
    one = predict_films(run, [str(folder)], str(tmp_path / "one"), Asked(), key=str(key), runner=RUNNER, workers=1)
    two = predict_films(run, [str(data)], str(tmp_path / "two"), Asked(), key=str(key), runner=RUNNER, workers=1)
    one_table, two_table = (found.table.set_index("image_id").sort_index() for found in (one, two))
    assert list(one_table.index) == list(two_table.index)
    assert one_table["patient_id"].equals(two_table["patient_id"])
    np.testing.assert_allclose(one_table["score.Mass"], two_table["score.Mass"], rtol=1e-6)
    assert one.results["context"]["films"] == "pad to 48 pixels, 8 bits"
    squeezed = Asked(size=48, fit="squeeze")
    other = predict_films(run, [str(folder)], str(tmp_path / "three"), squeezed, key=str(key), runner=RUNNER, workers=1)
    assert not np.allclose(
        other.table.set_index("image_id").loc[one_table.index, "score.Mass"], one_table["score.Mass"]
    )


def test_what_a_reader_must_know_of_the_films(run: Path, films: Path, folder: Path, tmp_path: Path) -> None:
    patients = trained_patients(run)
    assert patients is not None
    out = str(tmp_path / "out")
    found = predict_films(str(run), [str(films)], out, Asked(), runner=RUNNER, workers=1)
    assert (
        "4 films are, by their ids, of patients whom the model learned from or was chosen by"
        in found.results["notes"][1]
    )
    old = replace(RECORD, origin={"views": ["AP"]})
    other = write_run(tmp_path / "old run", old)
    files = [str(folder / "DOE_JANE" / "IM0.dcm"), str(folder / "square.png")]
    notes = predict_films(str(other), files, str(tmp_path / "b"), Asked(), runner=RUNNER, workers=1).results["notes"]
    assert notes[0].startswith("How the films were prepared that the model learned from is not recorded")
    assert "The model learned from AP alone; of other views are: 1 PA." in notes


def test_wrong_use_is_refused_and_leaves_nothing(
    run: Path, folder: Path, films: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    out, there = tmp_path / "out", [str(folder)]

    def asks(source: Path, what: list[str], asked: Asked, error: type[UserError], said: str) -> None:
        with pytest.raises(error, match=said):
            predict_films(str(source), what, str(out), asked, runner=RUNNER, workers=1)
        assert list(tmp_path.iterdir()) == []

    asks(encoder_folder, there, Asked(), CheckpointError, "is a encoder checkpoint, not a classifier")
    asks(films, there, Asked(), CheckpointError, "holds no classifier")
    asks(run / "absent", there, Asked(), CheckpointError, "no such folder")
    asks(run, [str(folder / "absent")], Asked(), UserError, "no such file or folder")
    asks(run, [str(folder / "notes.txt")], Asked(), UserError, "no film could be read: the file is neither")
    asks(run, there, Asked(findings=("Mass",)), ConfigError, "--maps auto")
    asks(run, there, Asked(maps="cam", findings=("Mas",)), ConfigError, "Did you mean 'Mass'")
    asks(run, there, Asked(maps="magic"), ConfigError, "unknown way of making maps")
    asks(run, there, Asked(fit="pad"), ConfigError, "Add --size")
    asks(run, there, Asked(size=8), ConfigError, "8 pixels is no size for a film")
    asks(run, there, Asked(split="test"), ConfigError, "only a manifest says splits and views")
    with pytest.raises(ConfigError, match="would lie among the films"):
        predict_films(str(run), there, str(folder / "out"), Asked(), runner=RUNNER)
    assert not (folder / "out").exists()
    (out / "kept").mkdir(parents=True)
    with pytest.raises(ConfigError, match="not empty"):
        predict_films(str(run), there, str(out), Asked(), runner=RUNNER)
    assert [path.name for path in out.iterdir()] == ["kept"]


def test_from_the_command_line(run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = str(folder / "square.png"), str(folder / "cut.png")
    options = ["--device", "cpu", "--workers", "1"]
    assert main(["predict", str(run), good, bad, "--out", str(tmp_path / "a"), *options]) == 1
    said = capsys.readouterr()
    assert re.search(r"^cut\.png: .+$", said.err, re.MULTILINE)
    assert said.out.startswith("1 films read, 1 not")
    assert said.out.rstrip().endswith("results.html")
    page = (tmp_path / "a" / "results.json").read_text()
    assert "--films=FILMS" in page
    (tmp_path / "b").mkdir()  # an empty folder may be there
    assert predict(str(run), (good,), out=str(tmp_path / "b"), device="cpu", workers=1, quiet=True) == 0
    assert capsys.readouterr().out == ""
    assert main(["predict", str(run), str(tmp_path / "nowhere"), "--out", str(tmp_path / "c")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
