"""Has an encoder seen the test films: checked by patient where that can be done, else told by collections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.benchmarking.encoder_facts import EncoderFacts
from hilum.benchmarking.public_encoders import PUBLIC, all_collections
from hilum.benchmarking.seen_before import TestFilms, seen_before
from hilum.manifest import Manifest
from hilum.manifest.share import share_of_patients

PLAIN = EncoderFacts("e", "pretrained", "ViT", 1, 32, "1 x 32 px", "digest")


def public(name: str) -> EncoderFacts:
    row = PUBLIC[name]
    return replace(
        PLAIN, known="public", pretrained_on=all_collections(name), held_out=row.held_out, supervision=row.supervision
    )


def judged_films(*collections: str) -> TestFilms:
    return TestFilms(collections, frozenset({("", "p1")}), "digest")


@pytest.mark.parametrize(
    ("encoder", "collection", "verdict", "said"),
    [
        ("rad-dino", "nih-chestxray14", "seen", "Pretrained on NIH ChestX-ray14;"),
        ("rad-dino", "rsna", "seen", "RSNA pneumonia has images in common"),
        ("chexfound", "covidx", "seen", "COVIDx"),
        ("mrm", "nih-chestxray14", "no", "shares no films"),
        ("mrm", "cxr-lt", "seen", "with their reports"),
        ("torchxrayvision-rsna", "siim-acr", "seen", "SIIM-ACR pneumothorax has NIH ChestX-ray14 too"),
        ("torchxrayvision-all", "rsna", "seen", "with their labels"),
        ("medim", "mimic-cxr", "possible", "without the official test part"),
        ("biomedclip", "shenzhen", "unknown", "PMC-15M"),
        ("cxrbase", "shenzhen", "unknown", "not published"),
        ("dinov2", "shenzhen", "no", "web images"),
        ("mae-imagenet", "mimic-cxr", "no", "ImageNet-1k"),
    ],
)
def test_public_encoders(encoder: str, collection: str, verdict: str, said: str) -> None:
    found = seen_before(public(encoder), judged_films(collection))
    assert (found.verdict, said in found.text) == (verdict, True), found.text


def test_what_cannot_be_known_is_said() -> None:
    assert seen_before(PLAIN, judged_films("rsna")).verdict == "unknown"
    assert seen_before(public("mrm"), judged_films()).verdict == "unknown"
    assert seen_before(replace(PLAIN, known="random"), judged_films("rsna")).verdict == "no"
    assert [seen_before(public("mrm"), judged_films(name)).mark for name in ("mimic-cxr", "padchest")] == ["‡", ""]


def films(folder: Path, patients: list[str], splits: list[str], source: str | None = None) -> Manifest:
    table = pd.DataFrame({"image": [f"{p}.png" for p in patients], "patient_id": patients, "split": splits})
    if source is not None:
        table["source"] = source
    Manifest.from_table(table, folder).write(folder)
    return Manifest.read(folder)


def learned_on(folder: Path, manifest: Manifest, **changes: Any) -> EncoderFacts:
    asked = {"data": str(folder), "views": [], "where": [], "data_fraction": 1.0, "settings": {"seed": 0}, **changes}
    return replace(PLAIN, known="own", pretrained_on=("own",), films={**asked, "manifest_sha256": manifest.digest})


def test_our_encoders_are_checked_patient_by_patient(tmp_path: Path) -> None:
    whole = films(tmp_path / "a", ["p1", "p2", "p3", "p4"], ["train", "train", "val", "test"], "here")
    facts = learned_on(tmp_path / "a", whole.select(split="train"))
    clean = TestFilms.of(whole, folder="a")
    assert seen_before(facts, clean).text == "None of the 1 test patients was in its pretraining (checked)."
    again = films(tmp_path / "b", ["p1", "p9"], ["test", "test"], "here")
    found = seen_before(facts, TestFilms.of(again, folder="b"))
    assert (found.verdict, found.text.split(" test")[0]) == ("seen", "1 of 2")
    others = films(tmp_path / "c", ["p1", "p9"], ["test", "test"], "elsewhere")  # other people with the same ids
    assert seen_before(facts, TestFilms.of(others, folder="c")).verdict == "no"
    nameless = films(tmp_path / "d", ["p1", "p9"], ["test", "test"])  # whose they are is not said: ids decide
    assert seen_before(facts, TestFilms.of(nameless, folder="d")).verdict == "seen"


def test_a_share_of_the_patients_is_drawn_again(tmp_path: Path) -> None:
    names = [f"p{k}" for k in range(20)]
    whole = films(tmp_path / "a", names, ["train"] * 20, "here")
    kept, _ = share_of_patients(whole, 0.5, 3)
    facts = learned_on(tmp_path / "a", kept, data_fraction=0.5, settings={"seed": 3})
    test = films(tmp_path / "b", names, ["test"] * 20, "here")
    assert seen_before(facts, TestFilms.of(test, folder="b")).text.startswith("10 of 20")


def test_a_table_that_has_changed_is_not_trusted(tmp_path: Path) -> None:
    whole = films(tmp_path / "a", ["p1", "p2"], ["train", "test"], "NIH")
    facts = replace(learned_on(tmp_path / "a", whole), pretrained_on=("nih-chestxray14",))  # digest of other films
    found = seen_before(facts, TestFilms.of(whole, folder="a"))
    assert (found.verdict, "could not be compared" in found.text) == ("possible", True)


def test_what_it_started_from_counts_too(tmp_path: Path) -> None:
    whole = films(tmp_path / "a", ["p1", "p2"], ["train", "test"], "RSNA")
    facts = replace(learned_on(tmp_path / "a", whole.select(split="train")), pretrained_on=("own", "nih-chestxray14"))
    started = replace(facts, begun_on=("nih-chestxray14",))
    assert seen_before(facts, TestFilms.of(whole, folder="a")).verdict == "no"
    assert seen_before(started, TestFilms.of(whole, folder="a")).verdict == "possible"
    assert seen_before(replace(facts, begun_on=None), TestFilms.of(whole, folder="a")).verdict == "possible"


def test_whose_films_they_are(tmp_path: Path) -> None:
    told = TestFilms.of(films(tmp_path / "x", ["p"], ["test"], "NIH"), folder="x", collection="rsna")
    by_source = TestFilms.of(films(tmp_path / "y", ["p"], ["test"], "NIH"), folder="y")
    by_folder = TestFilms.of(films(tmp_path / "z", ["p"], ["test"]), folder="data/shenzhen_tb")
    nobody = TestFilms.of(films(tmp_path / "w", ["p"], ["test"]), folder="data/w")
    assert [one.collections for one in (told, by_source, by_folder, nobody)] == [
        ("rsna",), ("nih-chestxray14",), ("shenzhen",), (),
    ]  # fmt: skip
