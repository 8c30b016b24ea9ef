"""Results of risk over time: the numbers come from the metrics, the page says all of them, and faults are named."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, UserError
from hilum.metrics.ranking import auroc
from hilum.metrics.survival import at_horizon, harrell_c, kaplan_meier, label_at, log_rank, time_dependent_auroc, uno_c
from hilum.results.reading import write_reading
from hilum.results.survival import (
    curves_table,
    summary_lines,
    survival_curves,
    survival_markdown,
    survival_page,
    survival_results,
    together,
)
from hilum.results.survival.plots import WIDE, auroc_plot, incidence_plot, survival_plot, ticks

CONTEXT = {"title": "Risk & <title>", "encoder": "RUN", "command": "hilum evaluate RUN"}


def subjects(n: int = 80, seed: int = 0, *, competing: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    died, left = rng.exponential(400, n) * np.exp(-risk), rng.uniform(100, 900, n)
    other = rng.exponential(900, n) if competing else np.full(n, np.inf)
    return pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in range(n)],
            "patient_id": [f"p{row}" for row in range(n)],
            "score": risk + rng.normal(size=n),
            "time": np.ceil(np.minimum(np.minimum(died, left), other)),
            "event": np.where(died <= np.minimum(left, other), 1, np.where(other <= left, 2, 0)),
            "true_risk": risk,
            "films": rng.integers(1, 3, n),
            "sex": np.where(np.arange(n) % 3 == 0, "F", "M"),
            "site": ["<North>", ""] * (n // 2),
            "age": 50.0 + np.arange(n) % 20,
        }
    )


def judged(table: pd.DataFrame, threshold: float | None = 0.2, **more: Any) -> dict[str, Any]:
    options = {"endpoint": "Death", "horizon": 365.0, "reduce": "first", "draws": 70, "context": CONTEXT, **more}
    return survival_results(table, threshold=threshold, **options)


def test_numbers_are_those_of_the_metrics() -> None:
    table = subjects()
    results = judged(table)
    entry, time, event, score = (
        results["endpoints"]["Death"],
        *(table[c].to_numpy() for c in ("time", "event", "score")),
    )
    assert entry["harrell"]["value"] == harrell_c(time, event, score)
    assert entry["uno"]["value"] == uno_c(time, event, score, tau=365)
    assert entry["auroc"]["value"] == time_dependent_auroc(time, event, score, [365])[0]
    high = score >= 0.2
    test = log_rank(time, event, high)
    assert (entry["log_rank"]["statistic"], entry["log_rank"]["p"]) == pytest.approx((test.statistic, test.p))
    for name, rows in (("low", ~high), ("high", high), ("all", high | ~high)):
        group = entry["groups"][name]
        expected = at_horizon(kaplan_meier(time[rows], event[rows]), 365)
        assert (group["survival"]["value"], group["survival"]["low"]) == (expected.value, expected.low)
        assert group["subjects"] == rows.sum()
        assert group["at_risk"] == [int((time[rows] >= t).sum()) for t in entry["at_risk_times"]]
    label = label_at(time, event, 365)
    assert entry["binary"]["auroc"]["value"] == auroc(label, score)
    assert entry["binary"]["left_out"] == np.isnan(label).sum() == entry["counts"]["lost_by_horizon"] > 0
    assert entry["binary"]["sensitivity"]["value"] == pytest.approx(high[label == 1].mean())
    assert entry["counts"]["films"] == table["films"].sum()
    assert entry["true_risk"]["harrell"]["value"] == harrell_c(time, event, table["true_risk"])
    gap = entry["harrell"]["value"] - entry["true_risk"]["harrell"]["value"]
    assert entry["true_risk"]["difference"]["harrell"]["value"] == pytest.approx(gap)
    json.dumps(results, allow_nan=False)


def test_order_of_rows_changes_nothing() -> None:
    table = subjects()
    mixed = table.sample(frac=1, random_state=3)
    first, second = (
        json.loads(json.dumps(judged(rows)), parse_float=lambda text: round(float(text), 9)) for rows in (table, mixed)
    )
    assert first == second


def test_competing_causes_bring_incidence_and_say_so() -> None:
    table = subjects(competing=True)
    entry = judged(table)["endpoints"]["Death"]
    high = entry["groups"]["high"]
    assert high["incidence"]["value"] < 1 - high["survival"]["value"]
    assert any(
        "counts a competing cause as censored" in note or "count a competing cause" in note for note in entry["notes"]
    )
    curves = survival_curves(table, threshold=0.2)
    assert set(curves.incidence) == set(curves.competing) == {"low", "high"}
    plot = incidence_plot(entry, curves)
    assert plot is not None
    assert [band.dashed for band in plot.bands] == [False, False, True, True]
    assert set(curves_table({"Death": curves})["curve"]) == {"survival", "incidence", "competing"}
    alone = judged(subjects())["endpoints"]["Death"]
    assert "incidence" not in alone["groups"]["all"]
    assert incidence_plot(alone, survival_curves(subjects(), threshold=0.2)) is None


def test_the_page_says_all_and_loads_nothing() -> None:
    first, second = subjects(), subjects(seed=1, competing=True)
    results = together([judged(first), judged(second, endpoint="CardiovascularDeath", horizon_origin="asked <for>")])
    results["notes"] = ["A <note>."]
    curves = {
        name: survival_curves(table, threshold=0.2)
        for name, table in (("Death", first), ("CardiovascularDeath", second))
    }
    page = survival_page(results, curves)
    for name, entry in results["endpoints"].items():
        assert f"<h2>{name}</h2>" in page
        for estimate in (entry["harrell"], entry["uno"], entry["auroc"], entry["binary"]["auprc"]):
            assert f"{estimate['value']:.3f}" in page
        for group in ("low", "high"):
            assert f"{100 * entry['groups'][group]['survival']['value']:.1f} %" in page
            for n in entry["groups"][group]["at_risk"]:
                assert f">{n}</text>" in page
    assert "Risk &amp; &lt;title&gt;" in page
    assert "A &lt;note&gt;." in page
    assert "asked &lt;for&gt;" in page
    assert "Site: &lt;North&gt;" in page
    assert page.count("<figure") == 2 + 3
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S).lower()
    text = survival_markdown(results)
    assert "| Harrell's C | " + f"{results['endpoints']['Death']['harrell']['value']:.3f}" in text
    assert "At risk after days" in text
    assert "- A <note>." in text
    lines = summary_lines(results)
    assert lines[0] == f"Death: 80 subjects, {results['endpoints']['Death']['counts']['events']} events"
    assert any(line.startswith("  log-rank p") for line in lines)


CORNERS = {
    "one subject": subjects().iloc[:1],
    "no event": subjects().assign(event=0),
    "everybody dies": subjects().assign(event=1),
    "all on the first day": subjects().assign(time=0, event=1),
    "nobody known": subjects().assign(time=np.nan, event=np.nan),
    "one score": subjects().assign(score=0.5),
    "one group": subjects().assign(score=lambda table: table["score"] - 50),
    "short": subjects().assign(time=lambda table: np.minimum(table["time"], 20)),
    "95 % censored": subjects(400).assign(event=lambda table: np.where(np.arange(400) % 20, 0, 1)),
}


@pytest.mark.parametrize("threshold", [0.2, None])
@pytest.mark.parametrize("table", CORNERS.values(), ids=CORNERS.keys())
def test_corners_give_a_page_with_reasons(table: pd.DataFrame, threshold: float | None, tmp_path) -> None:  # type: ignore[no-untyped-def]
    results = judged(table, threshold, draws=5)
    curves = {"Death": survival_curves(table, threshold=threshold)}
    entry = results["endpoints"]["Death"]
    for estimate in (entry["harrell"], entry["uno"], entry["auroc"], entry["binary"]["auroc"]):
        assert estimate["value"] is not None or estimate["reason"]
    assert entry["log_rank"]["p"] is not None or entry["log_rank"]["reason"]
    page = write_reading(
        tmp_path,
        results,
        html=survival_page(results, curves),
        markdown=survival_markdown(results),
        tables={"curves": curves_table(curves)},
    )
    assert page.is_file()
    assert summary_lines(results)


def test_notes_tell_what_a_reader_must_know() -> None:
    table = subjects()
    table.loc[:4, ["time", "event"]] = np.nan
    table.loc[9, "true_risk"] = np.nan
    entry = judged(table, 99.0)["endpoints"]["Death"]
    said = " ".join(entry["notes"])
    assert "5 subjects have no known follow-up" in said
    assert "The threshold puts everybody in one group." in said
    assert "1 subjects have no true risk" in said
    assert entry["true_risk"] is None
    assert entry["counts"]["subjects"] == 75
    assert "There is no threshold" in " ".join(judged(table, None)["endpoints"]["Death"]["notes"])
    few = judged(subjects().assign(event=lambda t: np.arange(len(t)) < 3))["endpoints"]["Death"]
    assert any(note.startswith("3 events") for note in few["notes"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="score"), "the column 'score' is missing"),
        (lambda t: t.iloc[:0], "there is no row"),
        (lambda t: t.assign(patient_id="p1"), "'p1' has more than one row. Reduce the films of a person"),
        (lambda t: t.assign(image_id=""), "row 0 is blank"),
        (lambda t: t.assign(score=np.nan), "row 0 is nan, not a finite number"),
        (lambda t: t.assign(score="high"), "row 0 is 'high', not a number"),
        (lambda t: t.assign(time=-3), "row 0 is -3, not days >= 0"),
        (lambda t: t.assign(event=3), "row 0 is 3, not 0, 1, 2 or blank"),
        (lambda t: t.assign(event=np.nan), "row 0 has a time or an event, not both"),
        (lambda t: t.assign(films=0), "row 0 is 0, not a number of films"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(change, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=re.escape(says)):
        judged(change(subjects()))


@pytest.mark.parametrize("horizon", [0.0, -1.0, np.nan, np.inf])
def test_a_horizon_is_a_positive_number_of_days(horizon: float) -> None:
    with pytest.raises(ConfigError, match="positive number of days"):
        judged(subjects(), horizon=horizon)


@pytest.mark.parametrize("until", [0.5, 1, 7, 30, 365, 730, 731, 2000, 10_000])
def test_ticks_are_round_and_few(until: float) -> None:
    times = ticks(until)
    assert 2 <= len(times) <= 9
    assert times[0].at == 0
    assert times[-1].at <= until + 1e-9
    assert len({tick.text for tick in times}) == len(times)


def test_curves_are_drawn_as_steps_inside_the_frame() -> None:
    table = subjects()
    entry = judged(table)["endpoints"]["Death"]
    plot = survival_plot(entry, survival_curves(table, threshold=0.2))
    assert [band.kind for band in plot.bands] == ["low", "high"]
    for band in plot.bands:
        points = np.array([pair.split() for pair in band.line[1:].split("L")], dtype=float)
        across, down = np.diff(points, axis=0).T
        assert ((across == 0) | (down == 0)).all()  # only level and upright lines
        assert (across >= 0).all()
        assert (down >= 0).all()  # survival falls
        inside = np.array([pair.split() for pair in re.split("[MLZ]", band.area) if pair], dtype=float)
        assert ((inside >= (plot.left, plot.top)) & (inside <= (plot.right, plot.bottom))).all()
    assert plot.width == WIDE
    assert plot.rows[0].counts[0].text == str(entry["groups"]["low"]["subjects"])
    rare = table.assign(event=(table["time"].rank(method="first") <= 3).astype(int))
    entry = judged(rare)["endpoints"]["Death"]
    plot = survival_plot(entry, survival_curves(rare, threshold=None))
    assert plot.note.startswith("The vertical axis starts at 0.")
    assert auroc_plot(judged(rare.assign(event=0))["endpoints"]["Death"]) is None
