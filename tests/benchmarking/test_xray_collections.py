"""Collections: found by many spellings, and followed to the images they are made of."""

from __future__ import annotations

import pytest

from hilum.benchmarking.xray_collections import COLLECTIONS, find_collection, image_roots, title_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nih_subset", "nih-chestxray14"),
        ("NIH ChestX-ray14", "nih-chestxray14"),
        ("ChestXray14", "nih-chestxray14"),
        ("MIMIC-CXR-JPG", "mimic-cxr"),
        ("VinDr-PCXR", "vindr-pcxr"),  # not VinDr-CXR
        ("vindr", "vindr-cxr"),
        ("COVIDx CXR-4", "covidx"),
        ("CXR-LT", "cxr-lt"),
        ("kermany_paediatric", "kermany"),
        ("phantom", None),
        ("our hospital", None),
        ("", None),
    ],
)
def test_names_are_found(text: str, name: str | None) -> None:
    assert find_collection(text) == name


def test_images_are_followed_to_where_they_come_from() -> None:
    assert "nih-chestxray14" in image_roots(["rsna"])
    assert "nih-chestxray14" in image_roots(["siim-acr"])
    assert "nih-chestxray14" in image_roots(["covidx"])  # through RSNA
    assert image_roots(["mimic-cxr"]) == {"mimic-cxr"}
    assert image_roots(["phantom"]) == {"phantom"}


def test_the_table_is_whole() -> None:
    for name, entry in COLLECTIONS.items():
        assert find_collection(entry.title) == name, name
        assert set(entry.images_from) <= set(COLLECTIONS)
    assert title_of("nothing we know") == "nothing we know"
