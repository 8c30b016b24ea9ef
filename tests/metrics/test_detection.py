"""Detection: equal to pycocotools and faster-coco-eval, to slow duplicates for drawn patients, and its properties."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics.detection.bootstrap import (
    DETECTION_METRICS,
    bootstrap_detection,
    detection_points,
    macro_value,
    points_of,
)
from hilum.metrics.detection.coco import coco_dict, coco_scores
from hilum.metrics.detection.froc import froc_curve, threshold_at_rate
from hilum.metrics.detection.matching import IOUS, rank
from hilum.metrics.detection.tables import BOX, FOUND, TRUTH, Scenes, empty_table, read_scenes
from tests.metrics.detection_scenes import random_scenes
from tests.oracles import detection as oracle

seeds = st.integers(0, 10**6)


def pycocotools_scores(scenes: Scenes) -> dict[str, np.ndarray]:
    """The original evaluation, in its own language."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    parts = []
    with contextlib.redirect_stdout(io.StringIO()):
        for boxes in (scenes.truth, scenes.found):
            content = COCO()
            content.dataset = coco_dict(scenes, boxes)
            content.createIndex()
            parts.append(content)
        run = COCOeval(*parts, "bbox")
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"][:, :, :, 0, -1], run.eval["recall"][:, :, 0, -1]
    return {"ap": precision.mean(axis=(0, 1)), "ap50": precision[0].mean(axis=0), "ar": recall.mean(axis=0)}


@pytest.mark.parametrize("seed", range(12))
def test_three_evaluations_agree(seed: int) -> None:
    scenes = read_scenes(*random_scenes(seed, images=12))
    ours, faster, original = points_of(scenes), coco_scores(scenes), pycocotools_scores(scenes)
    assert len(scenes.categories) == 2
    for name in ("ap", "ap50", "ar"):
        np.testing.assert_allclose(faster[name], original[name], atol=1e-9)
        np.testing.assert_allclose(ours[name], original[name], atol=1e-9)


def test_three_evaluations_agree_beyond_a_hundred_boxes_an_image() -> None:
    found, truth = random_scenes(3, images=3, ties=False)
    rng = np.random.default_rng(0)
    many = [["i00", truth["patient_id"][0], "Mass", *rng.uniform(5, 40, 4), s] for s in rng.random(150)]
    scenes = read_scenes(pd.concat([found, pd.DataFrame(many, columns=FOUND)]), truth)
    for name in ("ap", "ap50", "ar"):
        np.testing.assert_allclose(points_of(scenes)[name], pycocotools_scores(scenes)[name], atol=1e-9)
        np.testing.assert_allclose(coco_scores(scenes)[name], pycocotools_scores(scenes)[name], atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(seeds, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_weights_are_duplicates(seed: int, counts: list[int]) -> None:
    """A patient who counts twice is a data set in which his images stand twice."""
    found, truth = random_scenes(seed, images=5)
    scenes = read_scenes(found, truth, ("Effusion", "Mass"))
    weights = dict(zip(scenes.patients, counts, strict=False))
    ours = points_of(scenes, np.array([weights[patient] for patient in scenes.patients], np.uint8))
    copies = [oracle.duplicated(table, weights) for table in (found, truth)]
    for row, category in enumerate(scenes.categories):
        if not (copies[1]["category"] == category).any():
            assert all(np.isnan(ours[name][row]) for name in DETECTION_METRICS)
            continue
        for name, value in oracle.scores(*copies, category).items():
            assert ours[name][row] == pytest.approx(value, abs=1e-9), name


def test_replicates_are_those_weights() -> None:
    """The bootstrap draws patients; each of its replicates is a weighted set."""
    found, truth = random_scenes(5, images=10, patients=5)
    made = bootstrap_detection(found, truth, draws=6, seed=3)
    rng, scenes = np.random.default_rng(3), read_scenes(found, truth)
    patients = len(scenes.patients)
    drawn = rng.integers(patients, size=(6, patients), dtype=np.uint32)
    for draw in range(6):
        expected = points_of(scenes, np.bincount(drawn[draw], minlength=patients).astype(np.uint8))
        for name in DETECTION_METRICS:
            np.testing.assert_allclose(made.replicates[name][:, draw], expected[name], atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_order_scale_names_and_bounds(seed: int) -> None:
    found, truth = random_scenes(seed, ties=False)
    plain = detection_points(found, truth)
    shuffled = detection_points(found.sample(frac=1, random_state=0), truth.sample(frac=1, random_state=1))
    larger = [table.assign(**{name: table[name] * 4 for name in BOX}) for table in (found, truth)]
    squashed = found.assign(score=np.exp(found["score"]))  # any rising function of the score
    renamed = [table.replace({"category": {"Mass": "Zebra"}}) for table in (found, truth)]
    for other in (shuffled, detection_points(*larger), detection_points(squashed, truth), detection_points(*renamed)):
        for name in DETECTION_METRICS:
            np.testing.assert_allclose(other[name], plain[name], atol=1e-9)
    values = np.concatenate([plain[name] for name in DETECTION_METRICS])
    assert ((values >= 0) & (values <= 1)).all()
    assert (plain["sensitivity@0.25"] <= plain["sensitivity@0.5"]).all()
    assert (plain["sensitivity@0.5"] <= plain["sensitivity@1"]).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_truth_is_perfect_and_nothing_finds_nothing(seed: int) -> None:
    _, truth = random_scenes(seed)
    real = truth[truth["category"] != ""]
    best = detection_points(real.assign(score=1.0), truth)
    nothing = detection_points(empty_table(FOUND), truth)
    for name in DETECTION_METRICS:
        np.testing.assert_allclose(best[name], 1.0, atol=1e-12)
        np.testing.assert_allclose(nothing[name], 0.0)
    assert macro_value(best["ap"]) == (pytest.approx(1.0) if len(real) else None)


def test_coco_without_a_found_box_is_zero() -> None:
    _, truth = random_scenes(1)
    scenes = read_scenes(empty_table(FOUND), truth)
    assert coco_scores(scenes)["ap50"].tolist() == [0.0, 0.0]


def test_undefined_is_said() -> None:
    found, truth = random_scenes(2, images=10)
    made = bootstrap_detection(found, truth, categories=("Mass", "Hernia"), draws=200)
    estimate = made.estimate("ap50", "Hernia")
    assert (estimate.value, estimate.low, estimate.reason) == (None, None, "no true box of this finding")
    assert made.macro("ap50").value == made.estimate("ap50", "Mass").value
    assert made.difference(made, "ap", "Hernia").reason == "no true box of this finding"
    nobody = truth.assign(category="", **dict.fromkeys(BOX, np.nan)).drop_duplicates()
    empty = bootstrap_detection(found, nobody, categories=("Mass",), draws=10)
    assert empty.macro("ap").value is None
    assert bootstrap_detection(found, nobody, draws=10).macro("ap").value is None
    one = truth[truth["image_id"] == truth.loc[truth["category"] != "", "image_id"].iloc[0]]
    alone = bootstrap_detection(found[found["image_id"].isin(one["image_id"])], one, draws=10)
    assert alone.macro("ap").value is not None
    assert alone.macro("ap").reason == alone.difference(alone, "ap").reason == "one patient: no interval"


def test_intervals_hold_the_point_and_differences_pair() -> None:
    found, truth = random_scenes(7, images=40, patients=25, ties=False)
    worse = found.assign(score=1 - found["score"])
    first, second = (bootstrap_detection(table, truth, draws=200) for table in (found, worse))
    for name in DETECTION_METRICS:
        estimate = first.macro(name)
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.draws == 200
    same = first.difference(first, "ap")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    gap = first.difference(second, "ap50", "Mass")
    assert gap.value == pytest.approx(first.points["ap50"][1] - second.points["ap50"][1])
    assert gap.low <= gap.value <= gap.high
    other = bootstrap_detection(found, truth, draws=200, seed=1)
    with pytest.raises(ValueError, match="same images"):
        first.difference(other, "ap")


def test_froc_and_its_threshold() -> None:
    truth = pd.DataFrame([["a", "p", "M", 0, 0, 10, 10], ["b", "q", "", *[np.nan] * 4]], columns=TRUTH)
    rows = [["a", "p", "M", 0, 0, 10, 10, 0.5], ["b", "q", "M", 0, 0, 10, 10, 0.9], ["b", "q", "M", 5, 5, 9, 9, 0.2]]
    ranked = rank(read_scenes(pd.DataFrame(rows, columns=FOUND), truth), 0)
    curve = froc_curve(ranked)
    assert curve is not None
    assert curve.false_positives.tolist() == [0.5, 0.5, 1.0]
    assert curve.sensitivity.tolist() == [0, 1, 1]
    assert threshold_at_rate(ranked, 0.5) == 0.5
    assert threshold_at_rate(ranked, 0.4) is None
    assert detection_points(pd.DataFrame(rows, columns=FOUND), truth)["sensitivity@0.25"].tolist() == [0]
    assert froc_curve(rank(read_scenes(pd.DataFrame(rows, columns=FOUND), truth, ("X",)), 0)) is None
    assert ranked.hits.shape == (3, len(IOUS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, t: (f.drop(columns="score"), t), "boxes found lacks score"),
        (lambda f, t: (f.assign(score=np.nan), t), "not finite"),
        (lambda f, t: (f.assign(w=-1.0), t), "negative side"),
        (lambda f, t: (f, t.assign(w=0.0)), "has no area"),
        (lambda f, t: (f.assign(image_id="zz"), t), "does not name: 'zz'"),
        (lambda f, t: (f, t.assign(patient_id=[f"p{n}" for n in range(len(t))])), "two patients"),
    ],
)
def test_wrong_tables_are_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    found, truth = change(*random_scenes(4, images=12))
    with pytest.raises(ValueError, match=message):
        read_scenes(found, truth)


@pytest.mark.parametrize("numbers", [{"draws": -1}, {"confidence": 1.0}])
def test_wrong_numbers_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="confidence must lie"):
        bootstrap_detection(*random_scenes(4), **numbers)  # type: ignore[arg-type]
