"""Maps on disk: on the film as it came, with raw numbers that say how they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.explained import load_explained
from hilum.evaluation.prediction.map_files import laid_over, write_maps
from hilum.evaluation.prediction.new_films import gather, read_films
from hilum.evaluation.prediction.original import Placed
from hilum.evaluation.prepared import Prepared
from hilum.schema import Preprocessing

RUNNER = Runner(device="cpu", quiet=True)


@pytest.mark.parametrize("fit", ["squeeze", "pad", "shortest"])
def test_the_hot_place_is_where_it_was_on_the_film(fit: str) -> None:
    placed = Placed.of(100, 200, Prepared(64, fit))
    side = 64 if fit != "shortest" else 128
    film = np.zeros((64, side), np.uint8)
    maps = np.zeros((1, 8, 8))
    row, column = (6, 1) if fit != "pad" else (5, 1)  # a quarter from the left, low on the film
    maps[0, row, column] = 1.0
    (picture,) = laid_over(film, maps, placed, Preprocessing(resize="squeeze"), side=200)
    assert picture.size == (200, 100)
    red = np.asarray(picture)[..., 0].astype(float)
    hot = np.unravel_index(red.argmax(), red.shape)
    inner = (row + 0.5) / 8 * 64 - placed.top
    wanted = inner / placed.rows * 100, (column + 0.5) / 8 * 200
    assert abs(hot[0] - wanted[0]) < 10
    assert abs(hot[1] - wanted[1]) < 16


def test_what_is_written_for_each_film(run: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "out").mkdir()
    given = gather([folder / "square.png", folder / "wide.jpg"])
    key = tmp_path / "a.key"
    films = read_films(given, tmp_path / "place", Prepared(64, "squeeze"), key=key, workers=1, quiet=True)
    model = load_explained(run)
    shown = write_maps(model, "cam", films, tmp_path / "out", runner=RUNNER, shown=1)
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == [
        *(f"maps/square{end}" for end in (".npz", "/Effusion.png", "/Mass.png")),
        *(f"maps/wide{end}" for end in (".npz", "/Effusion.png", "/Mass.png")),
    ]
    with np.load(tmp_path / "out" / "maps" / "wide.npz") as raw:
        assert raw["maps"].shape == (2, 4, 4)
        assert raw["maps"].dtype == np.float32
        assert raw["names"].tolist() == ["Mass", "Effusion"]
        assert str(raw["way"]) == "cam"
        assert (raw["film"].tolist(), raw["stored"].tolist()) == ([50, 100], [64, 64])
        assert raw["place"].tolist() == [0, 0, 64, 64]
    with Image.open(tmp_path / "out" / "maps" / "wide" / "Mass.png") as picture:
        assert picture.size == (512, 256)
    assert [one.row for one in shown] == [0]
    assert list(shown[0].maps) == ["Mass", "Effusion"]
    assert shown[0].film.size == (512, 512)


def test_one_map_for_every_finding_has_a_name_of_its_own(run: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    given = gather([folder / "square.png"])
    films = read_films(given, tmp_path / "place", Prepared(), key=tmp_path / "a.key", workers=1, quiet=True)
    write_maps(load_explained(run), "rollout", films, tmp_path, runner=RUNNER)
    assert [path.name for path in (tmp_path / "maps" / "square").iterdir()] == ["every-finding.png"]
