"""A network's shares become boxes in pixels of the stored film, whatever shape the film had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hilum.errors import ManifestError
from hilum.evaluation.detection.found import find_boxes
from hilum.evaluation.detection.geometry import as_shares, placed_by
from hilum.evaluation.detection.truth import BoxedFilms, boxed_films
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.schema import Preprocessing
from tests.evaluation.detection.conftest import CPU

GREY = Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,))


class Knows(nn.Module):
    """Says given boxes, in shares, of every film."""

    def __init__(self, logits: Tensor, boxes: Tensor) -> None:
        super().__init__()
        self.logits, self.boxes = logits, boxes

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return (part[None].expand(len(images), -1, -1) for part in (self.logits, self.boxes))  # type: ignore[return-value]


@pytest.fixture
def some(boxed_data: Path) -> BoxedFilms:
    films = boxed_films(Manifest.read(boxed_data), boxed_data / "boxes.json")
    return films.take(films.image_ids[:3])


@pytest.mark.parametrize("rule", ["squeeze", "shortest", "pad"])
def test_boxes_come_back_to_the_film(rule: str, some: BoxedFilms) -> None:
    record = replace(GREY, resize=rule)  # type: ignore[arg-type]
    box = np.array([[20.0, 10, 16, 12]])
    shares = torch.from_numpy(as_shares(placed_by((48, 64), record).forward(box, (48, 64)), 32)).float()
    knows: nn.Module = Knows(torch.tensor([[-9.0, 2.0]]), shares)
    found = find_boxes(knows, some, FilmStore(some.manifest, quiet=True), record, CPU, most=1)  # type: ignore[arg-type]
    assert found["image_id"].tolist() == some.image_ids
    assert set(found["category"]) == {some.findings[1]}
    np.testing.assert_allclose(found[["x", "y", "w", "h"]].to_numpy(), np.repeat(box, 3, axis=0), atol=1e-4)
    np.testing.assert_allclose(found["score"], torch.tensor(2.0).sigmoid())


def test_the_best_are_said_first_and_those_off_the_film_never(some: BoxedFilms) -> None:
    logits = torch.tensor([[1.0, 0.0], [3.0, -1.0], [9.0, 9.0]])
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2], [5.0, 5.0, 0.1, 0.1]])
    store = FilmStore(some.manifest, quiet=True)
    found = find_boxes(Knows(logits, boxes), some, store, GREY, CPU, most=5)  # type: ignore[arg-type]
    first = found[found["image_id"] == some.image_ids[0]]
    assert first["score"].is_monotonic_decreasing
    assert len(first) == 3  # five were said, two of them lie beside the film
    nothing = find_boxes(Knows(logits[2:], boxes[2:]), some, store, GREY, CPU, most=5)  # type: ignore[arg-type]
    assert nothing.empty
    with pytest.raises(ManifestError, match="no finite boxes for image 'film00'"):
        find_boxes(Knows(logits * np.nan, boxes), some, store, GREY, CPU, most=5)  # type: ignore[arg-type]
