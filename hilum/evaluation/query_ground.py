"""`hilum ground` of a trained classifier: do its maps hit the true box more often than the encoder's own attention?

The maps are those of the head's queries, or, for any head, the rollout of the attention or maps by gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.errors import ConfigError
from hilum.evaluation.average_maps import AverageMap, average_maps, find_anchor
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import SIDE, Grounding, box_file, count_questions, draw_examples, placed
from hilum.evaluation.grounding import Mapped, differences, score_maps, summarise
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import honest_films
from hilum.evaluation.prediction.pointing import (
    Traced,
    TracedMaps,
    chance_note,
    chances,
    items_of,
    load_traced,
    traced_maps,
    way_note,
)
from hilum.evaluation.query_maps import RULE, FilmMaps, QueryModel, film_maps, load_queries, questions_of_queries
from hilum.manifest import Manifest
from hilum.metrics.grounding import min_max
from hilum.results.classification import plain, software_versions
from hilum.results.grounding import grounding_markdown, grounding_page
from hilum.results.pictures import data_uri, overlay, png, sheet
from hilum.results.reading import write_reading
from hilum.run_folder import RunFolder

TRACED: Final = ("rollout", "gradient", "cam")  # maps that any head has
PAIRS: Final = (
    *((way, other) for way in TRACED for other in ("query", "class_token", "centre")),
    ("query", "class_token"),
    ("query", "centre"),
    ("class_token", "centre"),
)
SENTENCES: Final = ("preset", "tau", "masks", "sentences", "prompts", "sections")  # options without a meaning here
QUERIES: Final = ("ask", "anchor", "registered", "allow_train")  # options without a meaning for an encoder
AVERAGES: Final = ("anchor", "registered")  # options of maps by attention only
ROW: Final = 4  # average maps in a row of the sheet


def judge_queries(
    run: str,
    data: str,
    out: str,
    options: Grounding,
    *,
    maps: str = "attention",
    runner: Runner | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Map, score and average; writes results.html, .md, .json, scores.parquet, items.parquet and pictures.

    Args:
        run: of `hilum adapt`; for maps by attention with a head that has queries.
        data: folder with a manifest and boxes.
        out: a new folder.
        options: what is asked; those of sentences must be as they were.
        maps: attention (of the queries), rollout, gradient, cam or auto.
        runner: device, batch size and so on.
        command: shown on the page.

    Returns:
        The results as plain JSON values.

    Raises:
        ConfigError: an option of sentences, no boxes, an anchor that is not there, or a non-empty `out`.
        CheckpointError: the model has no queries.
        ManifestError: no question can be asked.
    """
    runner = runner or Runner()
    _check(options, maps)
    RunFolder(out)  # refuses a folder with something in it
    everything, model = Manifest.read(data), _load(run, maps)
    anchor = find_anchor(everything, options.anchor) if options.anchor else None
    manifest, notes = honest_films(
        everything,
        options.split,
        views=options.views,
        trained_views=tuple(model.record.origin.get("views", ())),
        patients=trained_patients(run),
        allow_train=options.allow_train,
    )
    asked, said = _mapped(model, manifest, options, runner)
    scores = score_maps(asked, RULE, model.preprocessing, manifest)
    items = items_of(scores, str(scores["way"].iloc[0]), chances(asked))
    resampling: dict[str, Any] = {"draws": options.draws, "seed": options.seed}
    averages, tables = list[AverageMap](), {"scores": scores, "items": items}
    notes.append(chance_note(items))
    if anchor is not None and isinstance(model, QueryModel):
        averages, tables["registrations"] = average_maps(
            model, manifest, anchor, registered=options.registered, seed=options.seed, runner=runner
        )
    results = plain(
        {
            "task": "grounding",
            "of": "queries" if isinstance(model, QueryModel) else "maps",
            "weak": False,
            "ways": summarise(scores, **resampling),
            "differences": differences(scores, PAIRS, **resampling),
            "counts": count_questions(asked, scores),
            "averages": [one.to_json() for one in averages],
            "bootstrap": {"unit": "patient", "confidence": 0.95, **resampling},
            "versions": software_versions(),
            "notes": [*said, *notes],
            "context": _context(model, run, data, everything, options, command),
        }
    )
    examples, picture = draw_examples(
        asked, scores, RULE, model.preprocessing, manifest, options.examples, options.seed
    )
    drawn = [] if anchor is None else [(caption(one), _drawn(one, anchor)) for one in averages]
    write_reading(
        out,
        results,
        html=grounding_page(results, examples, [(text, data_uri(image)) for text, image in drawn]),
        markdown=grounding_markdown(results),
        tables=tables,
        pictures=({"maps.png": picture} if examples else {}) | ({"averages.png": _sheet(drawn)} if drawn else {}),
    )
    return dict(results)


def refuse_given(options: Grounding, names: Sequence[str], *, why: str) -> None:
    """Refuse options that were given though they mean nothing here.

    Raises:
        ConfigError: names the first.
    """
    for field in fields(options):
        if field.name in names and getattr(options, field.name) != field.default:
            raise ConfigError("has no meaning here", where=f"--{field.name.replace('_', '-')}", fix=why)


def caption(one: AverageMap) -> str:
    """What stands under an average map."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(one.left_out.items()))
    films = f"{one.used} film{'s' if one.used != 1 else ''}"
    return f"{one.finding}: {films}, {sum(one.left_out.values())} left out" + (f" ({reasons})" if reasons else "")


def _mapped(
    model: QueryModel | Traced, manifest: Manifest, options: Grounding, runner: Runner
) -> tuple[list[Mapped], list[str]]:
    """Every question with its maps, and what a reader must know about the choice."""
    questions = questions_of_queries(manifest, box_file(manifest, options), model.names, options.ask)
    places, notes = placed(manifest, questions, options)
    rows = sorted({pair.row for pair, _, _ in places})
    maps: Mapping[int, FilmMaps | TracedMaps] = (
        film_maps(model, manifest, rows, runner)
        if isinstance(model, QueryModel)
        else traced_maps(model, manifest, rows, runner)
    )
    asked = [
        Mapped(pair, maps[pair.row].ways(model.names.index(pair.category)), shape, boxes)
        for pair, shape, boxes in places
    ]
    said = [*questions.notes, *notes, *([note] if isinstance(model, Traced) and (note := way_note(model)) else [])]
    if "class_token" not in asked[0].maps:
        said.append("The encoder has no class token, so there is no attention of its own to compare with.")
    return asked, said


def _check(options: Grounding, maps: str) -> None:
    """Refuse options that mean nothing for a classifier, or nothing with these maps."""
    refuse_given(options, SENTENCES, why="A classifier is asked about its findings, not with sentences")
    if options.boxes == "zones":
        raise ConfigError(
            "zones are places that reports name; a classifier names findings", where="boxes", fix="Give a file"
        )
    if maps != "attention":
        refuse_given(options, AVERAGES, why="Maps of many films on one are made of the attention of queries only")


def _load(run: str, maps: str) -> QueryModel | Traced:
    if maps == "attention":
        return load_queries(run)
    traced = load_traced(run, maps)
    return load_queries(run) if traced.way == "attention" else traced


def _drawn(one: AverageMap, anchor: NDArray[np.uint8]) -> Image.Image:
    return overlay(anchor, min_max(one.heat), np.zeros((0, 4)), SIDE)


def _sheet(drawn: Sequence[tuple[str, Image.Image]]) -> bytes:
    cells = [(image, text) for text, image in drawn]
    return png(sheet([cells[start : start + ROW] for start in range(0, len(cells), ROW)], SIDE))


def _context(
    model: QueryModel | Traced, run: str, data: str, manifest: Manifest, options: Grounding, command: str
) -> dict[str, Any]:
    left_out = (*SENTENCES, "draws", "seed", *(("registered",) if options.anchor is None else ()))
    given = {name: value for name, value in asdict(options).items() if name not in left_out and value not in (None, ())}
    maps = "Attention" if isinstance(model, QueryModel) else f"Maps ({model.way})"
    return {
        "title": f"{maps} of {model.record.head} on the {options.split} split of {Path(data).resolve().name}",
        "classifier": run,
        "maps": "attention" if isinstance(model, QueryModel) else model.way,
        "encoder": model.record.origin.get("encoder"),
        "data": data,
        "manifest_sha256": manifest.digest,
        **given,
        "rule": {name: getattr(RULE, name) for name in ("sigma", "upsampling", "scaled", "on", "empty", "maxima")},
        "command": command,
    }
