"""One population of phantom films, and one tiny encoder, for all tests of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.evaluation.features import Runner
from hilum.tables.stand_in import draw_films
from hilum.tables.tiny_encoder import tiny_encoder

RUNNER = Runner(device="cpu", batch_size=32, quiet=True)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom that all stand-ins share."""
    return draw_films(tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture(scope="session")
def tiny(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained encoder with a text tower."""
    return tiny_encoder(tmp_path_factory.mktemp("tiny") / "encoder", films)
