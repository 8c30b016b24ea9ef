"""Films from anywhere: which are read, under which id, at which size, and what is said of the others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hilum.dicom.deidentify import load_key, pseudonym
from hilum.errors import ConfigError, ManifestError, UserError
from hilum.evaluation.prediction.new_films import NewFilms, gather, read_films
from hilum.evaluation.prepared import Prepared
from hilum.films import decode
from hilum.manifest import Manifest


def read(films: list[Path], place: Path, prepared: Prepared | None = None) -> NewFilms:
    place.mkdir(parents=True)
    key = place.parent / "a.key"
    return read_films(gather(films), place, prepared or Prepared(), key=key, workers=1, quiet=True)


def test_a_folder_of_everything(folder: Path, tmp_path: Path) -> None:
    found = read([folder], tmp_path / "place", Prepared(32, "squeeze"))
    assert found.files == ("DOE_JANE/IM0.dcm", "DOE_JANE/IM1.dcm", "square.png", "wide.jpg")
    secret = load_key(tmp_path / "a.key")
    table = found.manifest.table
    assert list(table["image_id"]) == [*(pseudonym(secret, "image", f"1.2.{n}") for n in range(2)), "square", "wide"]
    assert list(table["patient_id"])[:2] == [pseudonym(secret, "patient", "SECRET")] * 2
    assert list(table["view_position"])[:2] == ["PA", "PA"]
    assert [one.file for one in found.unread] == ["DOE_JANE/broken.dcm", "cut.png"]
    assert found.unread[0].film == pseudonym(secret, "file", "DOE_JANE/broken.dcm")
    assert found.unread[1].film == "cut.png"
    assert all(one.reason for one in found.unread)
    assert found.stored.tolist() == [[32, 32]] * 4
    assert [(one.height, one.width) for one in found.placed] == [(96, 80), (96, 80), (64, 64), (50, 100)]
    assert found.notes == (
        "1 files of the folder are neither PNG, JPEG nor DICOM, or links out of it, and were passed over.",
    )
    everything = table.to_csv()
    assert not re.search("DOE|JANE|SECRET|IM0", everything)


def test_films_that_need_no_size_keep_their_pixels(folder: Path, tmp_path: Path) -> None:
    found = read([folder / "square.png", folder / "DOE_JANE" / "IM0.dcm"], tmp_path / "place")
    assert found.stored.tolist() == [[64, 64], [96, 80]]
    for path, source in zip(
        found.manifest.paths(), (folder / "square.png", folder / "DOE_JANE" / "IM0.dcm"), strict=True
    ):
        np.testing.assert_array_equal(decode(path), decode(source))


def test_a_manifest_is_taken_as_it_is(films: Path, tmp_path: Path) -> None:
    given = gather([films], split="test", views=("PA",))
    (tmp_path / "place").mkdir()
    found = read_films(given, tmp_path / "place", Prepared(16, "pad"), key=tmp_path / "a.key", workers=1, quiet=True)
    manifest = Manifest.read(films).select(split="test", views=["PA"])
    assert list(found.manifest.table["image_id"]) == list(manifest.table["image_id"]) == list(found.files)
    assert list(found.manifest.table["patient_id"]) == list(manifest.table["patient_id"])
    assert found.stored.tolist() == [[64, 64]] * len(manifest)
    assert not (tmp_path / "a.key").exists()  # nothing to hash
    for path, source in zip(found.manifest.paths(), manifest.paths(), strict=True):
        np.testing.assert_array_equal(decode(path), decode(source))


def test_real_films_of_several_codecs(shared: Path, tmp_path: Path) -> None:
    samples = sorted((shared / "data" / "dicom_samples").glob("*.dcm"))
    found = read(samples, tmp_path / "place", Prepared(64, "pad"))
    assert len(found) == 4
    assert [one.reason.split(" (")[0] for one in found.unread] == ["another file has the same SOP Instance UID"]
    assert {(one.height, one.width) for one in found.placed} == {(1955, 1841), (1024, 1024)}
    assert (found.placed[-1].rows, found.placed[-1].columns, found.placed[-1].left) == (64, 60, 2)
    pictures = [decode(path).astype(int) for path in found.manifest.paths()]
    assert np.abs(pictures[1] - pictures[2]).max() <= 3  # the same picture, lossy and lossless
    with pytest.raises(ManifestError, match="name the films' files themselves"):
        gather([shared / "data" / "dicom_samples"])  # its table is no manifest of ours


def test_what_cannot_be_gathered(folder: Path, films: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="no films were named"):
        gather([])
    with pytest.raises(UserError, match="no PNG, JPEG or DICOM file in this folder"):
        gather([empty])
    with pytest.raises(UserError, match=r"absent: no such file or folder"):
        gather([folder / "absent"])
    with pytest.raises(ConfigError, match="is a folder among several"):
        gather([folder / "square.png", folder])
    with pytest.raises(ConfigError, match="only a manifest says splits and views"):
        gather([folder], split="test")
    with pytest.raises(UserError, match="no film is left"):
        gather([films], views=("LATERAL",))


def test_nothing_that_can_be_read_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no film could be read: .*neither PNG, JPEG nor DICOM \(1 files\)"):
        read([folder / "notes.txt", folder / "DOE_JANE" / "broken.dcm"], tmp_path / "place")
    assert not (tmp_path / "a.key").exists()


def test_files_of_one_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "film.png").write_bytes((folder / "square.png").read_bytes())
    found = read([tmp_path / "a" / "film.png", tmp_path / "b" / "film.png"], tmp_path / "place")
    assert found.files == ("a/film.png", "b/film.png")
    assert list(found.manifest.table["image_id"]) == ["a-film", "b-film"]
