from __future__ import annotations

import pytest

from hilum.transforms.text.language import FOREIGN, unknown_words

ENGLISH = (
    "The heart is normal in size. No focal consolidation, pleural effusion or pneumothorax. XXXX spine, ___ 3 mm.",
    "Left PTB",
    "Bibasilar opacities, likely atelectasis; the endotracheal tube ends above the carina.",
)
FOREIGN_REPORTS = (
    "Herz nicht vergrößert. Kein Pleuraerguss. Keine pneumonischen Infiltrate. Kein Pneumothorax. Randwinkel frei.",
    "Pas d'épanchement pleural. Silhouette cardiaque normale. Pas de foyer parenchymateux. Absence de pneumothorax.",
    "Silueta cardiaca de tamaño normal. No se observan infiltrados pulmonares ni derrame pleural. Senos libres.",
    "Cuore nei limiti. Non versamento pleurico. Non lesioni pleuroparenchimali in atto.",
    "肺部清晰，无胸腔积液。",
)


@pytest.mark.parametrize("text", ENGLISH)
def test_english_reports_are_known(text: str) -> None:
    assert unknown_words([text]) < 0.35 < FOREIGN


@pytest.mark.parametrize("text", FOREIGN_REPORTS)
def test_other_languages_are_not(text: str) -> None:
    assert unknown_words([text]) > FOREIGN


def test_share_is_over_words_of_all_texts() -> None:
    assert unknown_words(["the lungs", "qwert. Asdf 12 ___ XXXX"]) == 0.5
    assert unknown_words([]) == unknown_words(["12 ..."]) == 0.0
