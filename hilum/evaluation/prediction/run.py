"""`hilum predict` as a library call: a run and films from anywhere to scores, maps, and a page about them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hilum.dicom.deidentify import KEY_NAME
from hilum.dicom.store import FITS, Fit
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import COHORT
from hilum.evaluation.prediction.map_files import Shown, write_maps
from hilum.evaluation.prediction.maps import Way, names_of, resolve_way
from hilum.evaluation.prediction.new_films import Given, NewFilms, Unread, gather, read_films
from hilum.evaluation.prediction.places import AREA, COUNT
from hilum.evaluation.prediction.predictors import CALLED, Answers, Predictor, load_predictor
from hilum.evaluation.prepared import Prepared, prepared_for
from hilum.lookup import unknown_name
from hilum.manifest import same_patient
from hilum.results.classification import plain, software_versions
from hilum.results.new_films import FilmMaps, new_films_markdown, new_films_page
from hilum.results.pictures import data_uri
from hilum.results.reading import write_reading
from hilum.run_folder import RunFolder, sync_folder, write_atomic
from hilum.schema import Split

PREDICTIONS: Final = "predictions"  # .csv and .parquet
NAMED: Final = 4  # findings in the title of the page; more are counted


@dataclass(frozen=True)
class Asked:
    """What is asked of a run."""

    maps: str | None = None  # a way of `hilum.evaluation.prediction.maps`, or auto; None: no maps
    findings: tuple[str, ...] = ()  # whose maps; all where none is named
    split: Split | None = None  # of a manifest
    views: tuple[str, ...] = ()  # of a manifest
    size: int | None = None  # pixels that films are brought to first; None: as those that the model learned from
    fit: Fit | None = None
    files: bool = False  # file names beside the ids; they may hold patients' names
    examples: int = 8  # films with pictures on the page


@dataclass(frozen=True)
class Predicted:
    """What came of it."""

    folder: Path
    page: Path
    table: pd.DataFrame  # one row a film that could be read
    unread: tuple[Unread, ...]
    results: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """What the shell prints, but for the reasons of films that could not be read."""
        called = [f"{name} {count}" for name, count in self.results["counts"]["called"].items()]
        films = f"{len(self.table):,} films read" + (f", {len(self.unread):,} not" if self.unread else "")
        return [films + (f"; from the threshold on: {', '.join(called)}" if called else "")]


def predict_films(
    run: str,
    films: Sequence[str],
    out: str,
    asked: Asked,
    *,
    key: str | None = None,
    runner: Runner | None = None,
    workers: int = 0,
    command: str = "",
) -> Predicted:
    """Read, score, map; the output folder appears whole, or not at all.

    Args:
        run: of `hilum adapt`.
        films: a folder, a manifest, or files.
        out: a new folder.
        asked: what is asked.
        key: file with the secret that DICOM ids are hashed with; default hilum.key beside `out`, as `hilum prepare`.
        runner: device, batch size and so on.
        workers: decoding processes; 0 is one a core.
        command: shown on the page.

    Raises:
        CheckpointError: `run` holds no trained model.
        ConfigError: options without meaning, or a non-empty `out`.
        UserError: no films, or none that can be read.
    """
    runner, target = runner or Runner(), Path(out)
    RunFolder(target)  # refuses a folder with something in it
    predictor = load_predictor(run)
    way = _way(predictor, asked)
    prepared, notes = _preparation(Path(run), predictor, asked)
    given = gather(films, split=asked.split, views=asked.views)
    _refuse_among_films(target, films, given)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        (place / "films").mkdir(parents=True)
        secret = Path(key) if key else target.resolve().parent / KEY_NAME
        read = read_films(given, place / "films", prepared, key=secret, workers=workers, quiet=runner.quiet)
        answers = predictor.answer(read, place, runner)
        shown = _mapped(predictor, way, read, place, asked, runner)
        shutil.rmtree(place / "films")
        if given.manifest is not None:
            notes = []
        notes = [*notes, *read.notes, *answers.notes, *film_notes(read, predictor, trained_patients(run))]
        table = prediction_table(read, answers, files=asked.files)
        data = {} if given.manifest is None else {"data": films[0], "manifest_sha256": given.manifest.digest}
        context = {
            "model": run,
            **data,
            **_context(predictor, prepared if given.manifest is None else Prepared(), asked, way),
        }
        results = summarise(predictor, table, read, way, asked, notes, {**context, "command": command})
        _write(place, results, table, shown, read)
        RunFolder(target)  # another command may have filled it meanwhile
        if target.is_dir():
            target.rmdir()
        os.replace(place, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Predicted(target, target / "results.html", table, read.unread, results)


def prediction_table(films: NewFilms, answers: Answers, *, files: bool) -> pd.DataFrame:
    """One row a film: ids, what is known of it, and what the model says."""
    given = films.manifest.table
    table = given[["image_id", *(name for name in COHORT if name in given and name != "split")]].copy()
    if files:
        table.insert(1, "file", list(films.files))
    return pd.concat([table.reset_index(drop=True), answers.columns.reset_index(drop=True)], axis=1)


def film_notes(films: NewFilms, predictor: Predictor, patients: dict[str, Any] | None) -> list[str]:
    """What a reader must know of the choice of films: other views, patients of the training."""
    table, notes = films.manifest.table, []
    views = tuple(predictor.origin.get("views") or ())
    if views:
        others = table.loc[~table["view_position"].isin([*views, ""]), "view_position"].value_counts()
        shown = ", ".join(f"{count} {view}" for view, count in others.items())
        notes += [f"The model learned from {', '.join(views)} alone; of other views are: {shown}."] if shown else []
    known = {same_patient(one) for name in ("patients", "val_patients") for one in (patients or {}).get(name, ())}
    again = sum(same_patient(patient) in known for patient in table["patient_id"])
    if again:
        notes.append(
            f"{again} films are, by their ids, of patients whom the model learned from or was chosen by: it does "
            "better on them than on others."
        )
    return notes


def summarise(
    predictor: Predictor,
    table: pd.DataFrame,
    films: NewFilms,
    way: Way | None,
    asked: Asked,
    notes: Sequence[str],
    context: dict[str, Any],
) -> dict[str, Any]:
    """The results as plain JSON values."""
    called = {
        name: int((table[column] > 0).sum())  # called present; or something was drawn, a box counted
        for name in predictor.names
        for column in (CALLED + name, AREA + name, COUNT + name)
        if column in table and table[column].notna().any()
    }
    mapped = None if way is None or predictor.explained is None else names_of(predictor.explained, way, asked.findings)
    found: dict[str, Any] = plain(
        {
            "task": "prediction",
            "of": predictor.task,
            "names": predictor.names,
            "thresholds": dict(predictor.thresholds),
            "counts": {"films": len(table), "unread": len(films.unread), "called": called},
            "maps": None if mapped is None else {"way": way, "names": mapped},
            "unread": [{"film": one.file if asked.files else one.film, "reason": one.reason} for one in films.unread],
            "notes": list(notes),
            "context": context,
            "versions": software_versions(),
        }
    )
    return found


def _way(predictor: Predictor, asked: Asked) -> Way | None:
    if asked.maps is None:
        if asked.findings:
            raise ConfigError("names findings whose maps are drawn", where="findings", fix="Add --maps auto")
        return None
    if predictor.explained is None:
        what = f"a model of the task {predictor.task} says where by itself"
        raise ConfigError(what, where="maps", fix="Leave out --maps")
    way = resolve_way(predictor.explained, asked.maps)
    names_of(predictor.explained, way, asked.findings)  # refuses unknown names before films are read
    return way


def _preparation(run: Path, predictor: Predictor, asked: Asked) -> tuple[Prepared, list[str]]:
    """How new films are brought to size, and a note where that had to be guessed."""
    if asked.fit is not None and asked.fit not in FITS:
        raise unknown_name(asked.fit, list(FITS), kind="fit", where="fit")
    if asked.size is not None and not 16 <= asked.size <= 4096:
        raise ConfigError(f"{asked.size} pixels is no size for a film", where="size", fix="Give 16 to 4096")
    known = prepared_for(run, dict(predictor.origin))
    if asked.size is not None:
        return Prepared(asked.size, asked.fit or (known or Prepared()).fit), []
    if asked.fit is not None:
        raise ConfigError("says how films are brought to a size", where="fit", fix="Add --size")
    if known is not None:
        return known, []
    note = (
        "How the films were prepared that the model learned from is not recorded: these went as they are into the "
        "encoder's own transform. Give --size and --fit of `hilum prepare` if you know them."
    )
    return Prepared(), [note]


def _refuse_among_films(target: Path, films: Sequence[str], given: Given) -> None:
    """Maps that lie in the folder of films would be films of the next run."""
    if given.manifest is None and any(target.resolve().is_relative_to(Path(film).resolve()) for film in films):
        raise ConfigError("the output would lie among the films", where=target, fix="Give another --out")


def _mapped(
    predictor: Predictor, way: Way | None, films: NewFilms, place: Path, asked: Asked, runner: Runner
) -> list[Shown]:
    if way is None or predictor.explained is None:
        return []
    return write_maps(
        predictor.explained, way, films, place, wanted=asked.findings, runner=runner, shown=asked.examples
    )


def _context(predictor: Predictor, prepared: Prepared, asked: Asked, way: Way | None) -> dict[str, Any]:
    given = {name: value for name, value in asdict(asked).items() if value not in (None, (), False)}
    names = predictor.names
    stored = "as they came" if prepared.size is None else f"{prepared.fit} to {prepared.size} pixels, 8 bits"
    return {
        "title": f"New films: {', '.join(names) if len(names) <= NAMED else f'{len(names)} findings'}",
        "task": predictor.task,
        "encoder": predictor.origin.get("encoder"),
        **{name: value for name, value in predictor.about.items() if value not in (None, [], "none")},
        "films": stored,
        **given,
        **({} if way is None else {"maps": way}),
    }


def _write(place: Path, results: dict[str, Any], table: pd.DataFrame, shown: Sequence[Shown], films: NewFilms) -> None:
    ids = films.manifest.table["image_id"]
    maps = [
        FilmMaps(str(ids.iloc[one.row]), data_uri(one.film), {name: data_uri(p) for name, p in one.maps.items()})
        for one in shown
    ]
    write_reading(
        place,
        results,
        html=new_films_page(results, table, maps),
        markdown=new_films_markdown(results, table),
        tables={PREDICTIONS: table},
    )
    write_atomic(place / f"{PREDICTIONS}.csv", table.to_csv(index=False))
    if results["unread"]:
        write_atomic(place / "unread.csv", pd.DataFrame(results["unread"]).to_csv(index=False))
