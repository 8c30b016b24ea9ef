"""Collections of chest films that papers pretrain and test on, and which of them are made of another one's images.

`RSNA` and `SIIM` are films of ChestX-ray14 with new labels: an encoder that has seen all of ChestX-ray14 has seen
their test films. Who asks what an encoder has seen must therefore follow a name to the collections its images come
from.

Sources: the papers of the collections; CXRBase (arXiv 2410.08861, 3.2) for what COVIDx and ChestX-Det are made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Collection:
    """One published collection."""

    title: str
    names: tuple[str, ...]  # other spellings, in words: "chest x ray14"
    images_from: tuple[str, ...] = ()  # collections whose images it takes, wholly or in part


COLLECTIONS: Final = {
    "mimic-cxr": Collection("MIMIC-CXR", ("mimic", "mimiccxr")),
    "chexpert": Collection("CheXpert", ("chexpert plus",)),
    "nih-chestxray14": Collection(
        "NIH ChestX-ray14", ("nih", "cxr14", "chestxray14", "chest xray14", "chestx ray14", "chestx ray8", "nih cxr")
    ),
    "padchest": Collection("PadChest", ("pad chest",)),
    "brax": Collection("BRAX", ()),
    "vindr-cxr": Collection("VinDr-CXR", ("vindr", "vinbigdata")),
    "vindr-pcxr": Collection("VinDr-PCXR", ("vindr pcxr",)),
    "candid-ptx": Collection("CANDID-PTX", ("candid",)),
    "object-cxr": Collection("Object-CXR", ("object cxr",)),
    "openi": Collection("Indiana University (Open-i)", ("open i", "iu xray", "iu x ray", "indiana")),
    "cxr-al14": Collection("CXR-AL14", ("cxral14", "al14")),
    "shenzhen": Collection("Shenzhen tuberculosis", ("shenzhen tb",)),
    "montgomery": Collection("Montgomery tuberculosis", ("montgomery tb",)),
    "tbx11k": Collection("TBX11K", ()),
    "jsrt": Collection("JSRT", ()),
    "plco": Collection("PLCO", ()),
    "kermany": Collection("Kermany paediatric pneumonia", ("kermany paediatric", "paediatric pneumonia")),
    "hannover": Collection("Hannover COVID-19", ("covid 19 image repository",)),
    "cohen": Collection("covid-chestxray-dataset (Cohen)", ("covid chestxray", "cohen covid")),
    "stonybrook": Collection("COVID-19-NY-SBU (Stony Brook)", ("stony brook", "covid 19 ny sbu")),
    "ricord": Collection("MIDRC RICORD", ("midrc", "midrc covidx", "midrc ricord")),
    "bimcv-covid": Collection("BIMCV-COVID19+", ("bimcv", "bimcv covid19")),
    # made of the images of others
    "rsna": Collection("RSNA pneumonia", ("rsna pneumonia",), ("nih-chestxray14",)),
    "siim-acr": Collection("SIIM-ACR pneumothorax", ("siim", "siim acr pneumothorax"), ("nih-chestxray14",)),
    "chestx-det": Collection("ChestX-Det", ("chestxdet", "chest det", "chestx det10"), ("nih-chestxray14",)),
    "google-nih": Collection("Google's labels of ChestX-ray14", ("google",), ("nih-chestxray14",)),
    "cxr-lt": Collection("CXR-LT", ("cxrlt", "cxr lt 24", "cxr lt 2024"), ("mimic-cxr",)),
    "ms-cxr": Collection("MS-CXR", ("mscxr",), ("mimic-cxr",)),
    "chest-imagenome": Collection("Chest ImaGenome", ("imagenome",), ("mimic-cxr",)),
    "covidx": Collection(
        "COVIDx CXR", ("covidx cxr", "covidx cxr 4"), ("ricord", "bimcv-covid", "cohen", "stonybrook", "rsna")
    ),
    "covid-radiography": Collection(
        "COVID-19 Radiography Database", ("sirm", "covid 19 radiography"), ("bimcv-covid", "cohen", "rsna", "kermany")
    ),
    # no films of ours
    "imagenet-1k": Collection("ImageNet-1k", ("imagenet",)),
    "imagenet-22k": Collection("ImageNet-22k", ("imagenet21k", "imagenet 21k")),
    "lvd-142m": Collection("LVD-142M (web images)", ("lvd142m",)),
    "lvd-1689m": Collection("LVD-1689M (web images)", ("lvd1689m",)),
    "web-pairs": Collection("400 million image-text pairs of the web (CLIP)", ("wit 400m",)),
    "pmc-15m": Collection("PMC-15M (figures of articles)", ("pmc15m",)),
    "roco": Collection("ROCO (figures of articles)", ()),
    "medicat": Collection("MedICaT (figures of articles)", ()),
    "private": Collection("films that were not published", ()),
}
OPAQUE: Final = frozenset({"private", "pmc-15m", "roco", "medicat"})  # what films are in there cannot be known


def find_collection(text: str) -> str | None:
    """The collection that a folder name, `source` or title speaks of ("nih_subset"); None where it names none.

    The longest name that occurs wins: "vindr-pcxr" is not VinDr-CXR.
    """
    words = f" {' '.join(_words(text))} "
    spelled = [
        (len(name), key)
        for key, entry in COLLECTIONS.items()
        for name in (" ".join(_words(key)), " ".join(_words(entry.title)), *entry.names)
        if f" {name} " in words
    ]
    return max(spelled)[1] if spelled else None


def image_roots(names: Iterable[str]) -> frozenset[str]:
    """The collections that images come from in the end, each name itself among them."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += COLLECTIONS[name].images_from if name in COLLECTIONS else ()
    return frozenset(found)


def title_of(name: str) -> str:
    """The collection's title; a name that is none of ours stands as it is."""
    return COLLECTIONS[name].title if name in COLLECTIONS else name


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+\d*[a-z]*|\d+", text.lower())
