"""`hilum audit`: planted leaks are found, clean sets pass, and nothing is written unless asked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from hilum.auditing import audit_sets
from hilum.auditing.patients import loose_id
from hilum.cli import main
from hilum.errors import ConfigError

SPLITS = ("train", "train", "val", "test")


def film(seed: int, size: int = 96) -> np.ndarray:
    """A smooth random picture: unlike any other seed's, with edges of its own."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 5)
    low, high = np.percentile(noise, (1, 99))
    return np.asarray(np.clip((noise - low) / (high - low) * 255, 0, 255), dtype=np.uint8)


def data(root: Path, films: list[np.ndarray], **columns: list[object]) -> Path:
    """A data folder; split goes round train, train, val, test unless given."""
    (root / "images").mkdir(parents=True)
    table = {
        "image": [f"images/i{n}.png" for n in range(len(films))],
        "patient_id": [f"{root.name}-{n}" for n in range(len(films))],
    }
    table |= {"split": [SPLITS[n % 4] for n in range(len(films))]} | columns  # type: ignore[dict-item]
    for image, pixels in zip(table["image"], films, strict=True):
        Image.fromarray(pixels).save(root / str(image))
    pd.DataFrame(table).to_csv(root / "manifest.csv", index=False)
    return root


def jpeg(pixels: np.ndarray) -> np.ndarray:
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, "JPEG", quality=75)
    return np.asarray(Image.open(body))


def resized(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((70, 80), Image.Resampling.BICUBIC))


def test_a_clean_set(tmp_path: Path) -> None:
    root = data(tmp_path / "clean", [film(n) for n in range(40)])
    before = sorted(root.rglob("*"))
    report = audit_sets([root], workers=2, quiet=True)
    assert (report.leaks, report.missing, report.blank, report.changed, report.doubles) == ([], [], [], [], 0)
    assert "No leaks found." in report.lines()
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: x, "identical image"),
        (jpeg, "near-identical image"),
        (resized, "near-identical image"),
        (lambda x: 255 - x, "near-identical image"),
        (lambda x: x[1:-1, 1:-1], "near-identical image"),
    ],
)
def test_one_picture_in_two_splits(tmp_path: Path, change: object, kind: str) -> None:
    films = [film(n) for n in range(20)]
    films[3] = change(films[0])  # type: ignore[operator]
    report = audit_sets([data(tmp_path / "set", films)], workers=1, quiet=True)
    assert [leak.kind for leak in report.leaks] == [kind]
    assert {report.leaks[0].left, report.leaks[0].right} == {"set/train: i0", "set/test: i3"}


def test_a_picture_twice_in_one_split_is_counted_only(tmp_path: Path) -> None:
    films = [film(0), film(0), film(2), jpeg(film(0))]
    report = audit_sets([data(tmp_path / "set", films, split=["train"] * 4)], workers=1, quiet=True)
    assert report.leaks == []
    assert report.doubles == 3


@pytest.mark.parametrize("spelled", ["123", "00123", "p123 ", "Patient-123", "PT_0123"])
def test_one_patient_under_other_spellings(tmp_path: Path, spelled: str) -> None:
    root = data(tmp_path / "set", [film(n) for n in range(4)], patient_id=["123", "7", "8", f"{spelled}"])
    report = audit_sets([root], workers=1, quiet=True)
    assert [leak.kind for leak in report.leaks] == ["patient"]
    assert repr(spelled) in report.leaks[0].right


def test_loose_ids() -> None:
    assert len({loose_id(text) for text in ("123", "00123", " p123", "PATIENT 123", "id-123", "s0123")}) == 1
    assert len({loose_id(text) for text in ("123", "nih-123", "cohen-123", "123b", "1230", "p", "pt")}) == 7
    assert loose_id("000") == "0"


def test_two_sets(tmp_path: Path) -> None:
    shared_film = film(0)
    one = data(tmp_path / "one", [shared_film, film(1)], split=["train", "train"], patient_id=["a", "b"])
    two = data(tmp_path / "two", [resized(shared_film), film(9)], split=["", ""], patient_id=["c", "B"])
    report = audit_sets([one, two], workers=1, quiet=True)
    assert sorted(leak.kind for leak in report.leaks) == ["near-identical image", "patient"]
    assert audit_sets([one], workers=1, quiet=True).leaks == []


def test_other_faults(tmp_path: Path) -> None:
    films = [film(0), np.zeros((96, 96), np.uint8), np.full((96, 96), 255, np.uint8), film(3), film(4)]
    root = data(
        tmp_path / "set",
        films,
        **{"label.Mass": [1, 0, 0, 1, 1], "sha256": ["", "", "", "00", ""]},  # type: ignore[arg-type]
    )
    (root / "images/i4.png").unlink()
    report = audit_sets([root], workers=1, quiet=True)
    assert report.leaks == []  # two blank films are no pair
    assert len(report.blank) == 2
    assert [Path(text).name for text in report.changed] == ["i3.png"]
    assert len(report.missing) == 1
    assert "No such file" in report.missing[0]
    assert report.labels == [
        "set/val: Mass is absent in all 1 films that say",
        "set/test: Mass is present in all 1 films that say",
    ]
    counts = report.sets[0]["prevalence"]["Mass"]
    assert counts["train"] == {"present": 2, "absent": 1, "uncertain": 0, "blank": 0}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = data(tmp_path / "clean", [film(n) for n in range(4)])
    leaky = data(tmp_path / "leaky", [film(0), film(11), film(12), film(13)])
    assert main(["audit", str(clean), "--workers", "1"]) == 0
    assert "No leaks found." in capsys.readouterr().out
    assert main(["audit", str(clean), str(leaky), "--out", str(tmp_path / "a.json"), "--quiet"]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "a.json").read_text())["leaks"][0]["kind"] == "identical image"
    assert main(["audit", str(tmp_path / "none")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="different data sets"):
        audit_sets([clean, clean])


def test_real_films_are_not_confused(shared: Path, tmp_path: Path) -> None:
    """Cropped, resized and re-saved copies of a hundred real films: each finds its own, nothing else does."""
    paths = sorted((shared / "data/shenzhen_tb/images").iterdir())[:100]
    films = [np.asarray(Image.open(path).convert("L")) for path in paths]
    changes = (jpeg, lambda x: np.asarray(Image.fromarray(x).resize((300, 300))), lambda x: x[5:-5, 5:-5])
    copies = [changes[n % 3](pixels) for n, pixels in enumerate(films)]
    one = data(tmp_path / "one", films, split=["train"] * 100)
    two = data(tmp_path / "two", copies, split=["test"] * 100)
    report = audit_sets([one, two], workers=2, quiet=True)
    pairs = [(leak.left.split(": ")[1], leak.right.split(": ")[1]) for leak in report.leaks]
    assert all(left == right for left, right in pairs)
    assert len(pairs) >= 98
