"""How films were prepared: from prepare.json, from the model's record, or unknown."""

from __future__ import annotations

import json
from pathlib import Path

from hilum.evaluation.prepared import Prepared, prepared_as, prepared_for


def test_a_data_folder_says_how_its_films_were_made(tmp_path: Path) -> None:
    assert prepared_as(tmp_path) == Prepared(None, "squeeze")
    (tmp_path / "prepare.json").write_text(json.dumps({"settings": {"size": 256, "fit": "pad", "seed": 0}}))
    assert prepared_as(tmp_path) == Prepared(256, "pad")
    for broken in ("{", "[]", '{"settings": {"size": -3, "fit": "pad"}}', '{"settings": {"size": 3, "fit": "cover"}}'):
        (tmp_path / "prepare.json").write_text(broken)
        assert prepared_as(tmp_path) == Prepared()


def test_the_record_counts_before_the_folder(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    run.mkdir()
    data.mkdir()
    assert prepared_for(run, {}) is None
    (run / "config.json").write_text(json.dumps({"data": str(tmp_path / "moved")}))
    assert prepared_for(run, {}) is None
    (run / "config.json").write_text(json.dumps({"data": str(data)}))
    assert prepared_for(run, {}) == Prepared()
    (data / "prepare.json").write_text(json.dumps({"settings": {"size": 512, "fit": "shortest"}}))
    assert prepared_for(run, {}) == Prepared(512, "shortest")
    kept = Prepared(224, "pad")
    assert prepared_for(run, {"prepared": kept.to_json()}) == kept
