"""Methods side by side: one budget, paired differences over seeds, and nothing finished is done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.errors import ConfigError
from hilum.side_by_side import Contest, as_markdown, run_contest

TEXT = {"width": 32, "depth": 1, "heads": 2, "hidden": 64, "positions": 40}
DECODER = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2}


@pytest.fixture
def contest(reported_data: Path) -> Contest:
    shape = {"vit": {"width": 32, "depth": 1, "heads": 2}, **DECODER}
    reading = {"text": TEXT, "length": 40}
    return Contest(
        data=str(reported_data),
        methods=("mae", "mrm", "maco"),
        seeds=(0, 1),
        training={"size": 32, "batch_size": 8, "max_steps": 2, "probe": False, "keep_checkpoints": 1, "set": shape},
        options={"mrm": reading, "maco": reading},
        labels=("Mass",),
        fraction=1.0,
        draws=50,
    )


def test_the_same_films_steps_and_patients_for_all(contest: Contest, tmp_path: Path) -> None:
    said: list[str] = []
    rows = run_contest(contest, tmp_path, say=said.append)
    assert [row.method for row in rows] == ["mae", "mrm", "maco"]
    assert rows[0].against_first is None
    for row in rows[1:]:
        assert row.against_first is not None
        assert row.against_first["value"] == pytest.approx(row.macro["value"] - rows[0].macro["value"])
    configs = [json.loads((tmp_path / f"{m}-0" / "config.json").read_text()) for m in contest.methods]
    assert len({(c["steps"], c["manifest_sha256"]) for c in configs}) == 1
    assert (tmp_path / "maco-1-zero_shot" / "results.html").is_file()
    assert (tmp_path / "mrm-0-restore" / "results.html").is_file()
    assert "minus mae" in as_markdown(rows)

    said.clear()
    again = run_contest(contest, tmp_path, say=said.append)
    assert again == rows
    assert not any(line.startswith(("pretrain", "probe m", "zero", "restore")) for line in said)


def test_too_few_positives_to_choose_findings_is_said(reported_data: Path) -> None:
    with pytest.raises(ConfigError, match="no finding has 50 positives"):
        Contest(data=str(reported_data)).probed()
