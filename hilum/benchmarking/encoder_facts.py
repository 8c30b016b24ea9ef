"""What is known of an encoder: what it was pretrained on, how long, how large it is. What nobody says is None.

Three places are asked, in this order: what the user says in the task file, the encoder's own record (an encoder of ours
carries where it comes from, and its run how fast it was), and the table of public encoders, found by the layout of the
file, or by its name or the name given to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from hilum.benchmarking.public_encoders import ONE_AUTHOR, PUBLIC, all_collections, find_public
from hilum.benchmarking.xray_collections import find_collection, title_of
from hilum.encoder import Encoder
from hilum.evaluation.features import weights_digest
from hilum.models.backbone import in_words as network_in_words
from hilum.models.vit import ViTConfig
from hilum.run_folder import RunFolder
from hilum.transforms.record_words import in_words

FILMS_OF: Final = ("data", "manifest_sha256", "views", "where", "data_fraction", "settings")  # of a run's config.json


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder as it was asked for."""

    name: str  # how the page calls it
    path: str  # what `hilum.load` takes
    weights: Literal["pretrained", "random"] = "pretrained"


@dataclass(frozen=True)
class EncoderFacts:
    """What a reader of a leaderboard must know of an encoder."""

    name: str
    weights: str
    network: str
    parameters: int
    size: int  # pixels a side that it looks at
    pixels: str  # how a film becomes its input, in words
    digest: str  # of the weights; of the pretrained ones where random ones of the same shape are used
    known: Literal["random", "own", "public", "told", "nothing"] = "nothing"  # where the facts below come from
    method: str | None = None
    pretrained_on: tuple[str, ...] = ()  # collections where they are known by name, else names of sources
    held_out: tuple[str, ...] = ()  # of these, whose official test part was left out
    supervision: str = "images"
    images: int | None = None
    images_seen: int | None = None  # with repetition
    epochs: float | None = None
    hours: str | None = None  # of devices
    starts_from: str | None = None
    begun_on: tuple[str, ...] | None = ()  # what an encoder of ours started from had seen; None where nobody knows
    source: str = ""
    films: Mapping[str, Any] | None = None  # of an encoder of ours: which films of which table it learned from

    @property
    def data_titles(self) -> tuple[str, ...]:
        """The collections as a reader knows them."""
        return tuple(map(title_of, self.pretrained_on))

    def to_json(self) -> dict[str, Any]:
        """Plain values, without paths of this machine."""
        return {key: value for key, value in asdict(self).items() if key != "films"}


def encoder_facts(spec: EncoderSpec, encoder: Encoder, told: Mapping[str, Any] | None = None) -> EncoderFacts:
    """Collect what is known of an encoder.

    Args:
        spec: its name and place.
        encoder: loaded.
        told: what the task file says of it; comes before everything else.
    """
    told = dict(told or {})
    plain = EncoderFacts(
        name=spec.name,
        weights=spec.weights,
        network=_network(encoder),
        parameters=sum(weight.numel() for weight in encoder.model.parameters()),
        size=encoder.preprocessing.size,
        pixels=in_words(encoder.preprocessing),
        digest=weights_digest(encoder.model),
    )
    if spec.weights == "random":
        return replace(plain, known="random", images=0, images_seen=0, epochs=0.0, hours="0", source="random weights")
    public = told.pop("public", None)
    if public is None and encoder.origin.get("method") not in (None, "none"):
        found = _own(plain, spec, encoder.origin)
    else:
        layout = encoder.origin.get("layout")
        row = public or (str(layout) if layout in ONE_AUTHOR else find_public(spec.name))
        row = row or find_public(Path(spec.path).name) or find_public(str(encoder.origin.get("file", "")))
        found = plain if row is None else _public(plain, row)
    if not told:
        return found
    lists = ("pretrained_on", "held_out")
    said: dict[str, Any] = {key: tuple(value) if key in lists else value for key, value in told.items()}
    return replace(found, **said, known="told", source="the task file")


def _own(plain: EncoderFacts, spec: EncoderSpec, origin: Mapping[str, Any]) -> EncoderFacts:
    """Of an encoder that Hilum pretrained: its record, and its run where that is still there."""
    run = _run_of(Path(spec.path))
    films, steps, batch = (origin.get(key) for key in ("films", "steps", "batch_size"))
    seen = steps * batch if steps is not None and batch is not None else None
    sources = [name for name in str(origin.get("sources") or "").split(", ") if name]
    start = origin.get("init")
    begun = find_public(Path(str(start)).name) if start else None
    begun_on = () if not start else all_collections(begun) if begun else None
    collections = [find_collection(name) or name for name in sources] + list(begun_on or ())
    return replace(
        plain,
        known="own",
        method=origin.get("method"),
        pretrained_on=tuple(dict.fromkeys(collections)),
        images=films,
        images_seen=seen,
        epochs=seen / films if seen is not None and films else None,
        hours=_hours(run, batch) or _last_session(origin),
        starts_from=(PUBLIC[begun].title if begun else Path(str(start)).name) if start else None,
        begun_on=begun_on,
        source="the encoder's own record",
        films=None if run is None else {key: run.config().get(key) for key in FILMS_OF},
    )


def _public(plain: EncoderFacts, name: str) -> EncoderFacts:
    """Of somebody else's encoder: the row of the table."""
    row = PUBLIC[name]
    start = PUBLIC[row.starts_from].title if row.starts_from in PUBLIC else row.starts_from
    return replace(
        plain,
        known="public",
        method=row.title,
        pretrained_on=all_collections(name),
        held_out=row.held_out,
        supervision=row.supervision,
        images=row.images,
        images_seen=row.seen,
        epochs=row.epochs,
        hours=row.gpu_hours,
        starts_from=start or None,
        source=row.source,
    )


def _network(encoder: Encoder) -> str:
    sizes = encoder.model.config
    if isinstance(sizes, ViTConfig):
        return f"ViT {sizes.depth} × {sizes.width}, patch {sizes.patch_size}"
    return network_in_words(sizes)


def _run_of(path: Path) -> RunFolder | None:
    """The pretraining run that an encoder came from, where it still lies around it."""
    for place in (path, path.parent, path.parent.parent):
        try:
            if json.loads((place / "config.json").read_text()).get("verb") == "pretrain":
                return RunFolder(place, resume=True)
        except (OSError, ValueError, AttributeError):
            continue
    return None


def _hours(run: RunFolder | None, batch: int | None) -> str | None:
    """Device-hours of all steps of a run, at the speed that each step logged."""
    if run is None or not batch:
        return None
    speeds = [row["images_per_second"] for row in run.metrics() if row.get("images_per_second")]
    if not speeds:
        return None
    config = run.config()
    settings = config.get("settings", {})
    devices = settings.get("devices", 1) * settings.get("nodes", 1)
    seconds = sum(batch / speed for speed in speeds) * devices
    try:
        torch_version = str(json.loads((run.path / "env.json").read_text())["packages"]["torch"])
    except (OSError, ValueError, KeyError):
        torch_version = ""
    slow = settings.get("accelerator") == "cpu" or torch_version.endswith("+cpu")
    return f"{seconds / 3600:.2g} {'hours of a CPU' if slow else 'device-hours'}"


def _last_session(origin: Mapping[str, Any]) -> str | None:
    hours = origin.get("hours_of_last_session")
    return None if hours is None else f"{hours:.2g} hours (its last session)"
