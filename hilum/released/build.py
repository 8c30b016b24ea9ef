"""The door: a path in, an encoder out, every tensor accounted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.lookup import lookup
from hilum.models.backbone import build_backbone, local_width
from hilum.models.fill import check_fit, fill
from hilum.models.pretrained.kinds import UNKNOWN, what_it_is
from hilum.models.towers import Towers
from hilum.released.account import origin_of
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import LAYOUTS, Layout
from hilum.released.layouts.prefixes import wrapping
from hilum.released.source import Source, open_source
from hilum.transforms.text import Tokenizer, read_tokenizer


def layout_of(source: Source) -> str:
    """The name of the first layout that recognises a source.

    Raises:
        CheckpointError: none does; says what the tensors are instead.
    """
    if (name := _named(source, None)) is not None:
        return name
    raise CheckpointError(
        what_it_is(source.tensors, source.config),
        where=source.path,
        fix="Give the file of an image encoder in a layout that hilum convert --layouts lists",
    )


def build(path: str | Path, asked: Asked, *, layout: str | None = None) -> Encoder:
    """The encoder of a released file or folder.

    Args:
        path: the file or folder.
        asked: what no tensor tells.
        layout: a name of `LAYOUTS`, where the tensors fit several; found out where omitted.

    Raises:
        CheckpointError: unreadable, of no known layout, of another layout than named, or only partly filled.
        ConfigError: no such layout.
    """
    source = open_source(path)
    try:
        return _build(source, replace(asked, layout=layout))
    except CheckpointError as error:
        if source.unread:
            what = f"{error.what}; not read in it, since of no plain kind: {', '.join(source.unread[:3])}"
            raise CheckpointError(what, where=path, fix="Save them as plain tensors of real numbers") from error
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        what = f"has a tensor, or a value beside the tensors, of a form that nobody foresaw ({described(error)})"
        raise CheckpointError(what, where=path, fix="Give the whole file or folder as it was released") from error


def described(error: BaseException) -> str:
    """An error in a few words of one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _build(source: Source, asked: Asked) -> Encoder:
    """The encoder of what was opened; arguments and errors as `build`."""
    path = source.path
    source, name, unwrapped = _recognised(source, asked.layout)
    found = _layout(name).read(source, asked)
    unwrapped = (*unwrapped, *_heed(asked, found))
    _check(lambda: build_backbone(found.architecture), found.image, path)
    model = build_backbone(found.architecture)
    fill(model, found.image, where=path)
    tokenizer_read = None if found.joint is None else _tokenizer(found.joint, source, asked)
    towers = None
    if found.joint is not None and tokenizer_read is not None:
        towers = _towers(found.joint, model, tokenizer_read, path)
    elif given := next((name for name in ("tokenizer", "text") if getattr(asked, name) is not None), None):
        raise CheckpointError(
            f"is a file of {_layout(name).title}: no text tower is read from it",
            where=path,
            fix=f"Leave out the {given}",
        )
    found = replace(found, notes=(*unwrapped, *found.notes))
    origin = origin_of(source, name, found, read=towers is not None)
    return Encoder(model, found.preprocessing, origin, towers=towers, tokenizer=tokenizer_read, pool=found.pool)


def _recognised(source: Source, layout: str | None) -> tuple[Source, str, tuple[str, ...]]:
    """A source as its layout knows it, that layout's name, and notes on what was taken off around the network.

    Training programs put a prefix before all names (`model.` of Lightning, `_orig_mod.` of torch.compile). Some layouts
    look for their network under any prefix; for the others it is taken off once none of them knows the file as it is.
    """
    notes = (f"read from {source.wrapper}; left aside in the file: {', '.join(source.aside)}",) if source.aside else ()
    if (name := _named(source, layout)) is not None:
        return source, name, notes
    prefix = wrapping(source.tensors)
    bare = {key.removeprefix(prefix): value for key, value in source.tensors.items()}
    if prefix and len(bare) == len(source.tensors):
        plain = replace(source, tensors=bare)
        if (name := _named(plain, layout)) is not None:
            return plain, name, (*notes, f"read from under {prefix[:-1]}")
    if layout is None:
        return source, layout_of(source), notes  # which says what it is instead
    said, other = what_it_is(source.tensors, source.config), _named(source, None)
    if other is not None:
        said = f"{said.removesuffix(UNKNOWN)}, in the layout {other}"
    raise CheckpointError(
        f"is not in the layout {layout}; {said}", where=source.path, fix="Leave out the layout to have it found"
    )


def _named(source: Source, layout: str | None) -> str | None:
    """The layout that the user named, if it may read a source; where none was named, the first that recognises it."""
    if layout is None:
        return next((name for name in LAYOUTS if _layout(name).recognise(source)), None)
    chosen = _layout(layout)
    return layout if (chosen.fits or chosen.recognise)(source) else None


def _layout(name: str) -> Layout:
    layout: Layout = lookup(LAYOUTS, name, kind="layout")
    return layout


def _tokenizer(joint: Joint, source: Source, asked: Asked) -> Tokenizer | None:
    """What reads text for the towers: as given, as it came with the source, or none."""
    if asked.tokenizer is not None:
        return read_tokenizer(asked.tokenizer)
    if joint.tokenizer is not None:
        return joint.tokenizer
    return None if source.tokenizer is None else read_tokenizer(source.tokenizer)


def _towers(joint: Joint, model: Any, tokenizer: Tokenizer, path: Path) -> Towers:
    """The towers, behind the tokenizer that they were trained with."""
    if len(tokenizer) != joint.vocabulary:
        raise CheckpointError(
            f"reads {joint.vocabulary:,} word pieces and the tokenizer has {len(tokenizer):,}",
            where=path,
            fix="Give the tokenizer the file was trained with",
        )
    sizes = model.config
    local = local_width(sizes)
    words, pad = joint.vocabulary, tokenizer.pad_id

    def make() -> Towers:
        return Towers(joint.config, sizes.width, sizes.patches, words, pad_id=pad, local_width=local)

    _check(make, joint.weights, path)
    towers = make()
    fill(towers, joint.weights, where=path)
    return towers


def _heed(asked: Asked, found: Found) -> tuple[str, ...]:
    """Notes on what was asked for and does not arise: heads of a network that has none.

    Raises:
        ConfigError: a number was asked for that the tensors tell otherwise.
    """
    sizes: Any = found.architecture
    told = {
        "heads": getattr(sizes, "heads", None),
        "text_heads": None if found.joint is None else asked.text_heads,
        "image_size": sizes.image_size,
        "patch_stride": getattr(sizes, "patch_stride", None) or getattr(sizes, "patch_size", None),
    }
    given = {f"--{name.replace('_', '-')}": (getattr(asked, name), number) for name, number in told.items()}
    given = {name: pair for name, pair in given.items() if pair[0] is not None}
    for name, (wanted, number) in given.items():
        if number not in (None, wanted):
            what = f"{wanted} was asked for, and this file is read with {number}"
            raise ConfigError(what, where=name, fix="Leave it out")
    return tuple(f"{name} was not needed: what is read has none" for name, (_, number) in given.items() if not number)


def _check(make: Callable[[], nn.Module], weights: Mapping[str, Tensor], where: Path) -> None:
    """Hold weights against their network before it takes memory: a file may declare sizes that it does not hold.

    Raises:
        CheckpointError: they do not fit.
    """
    if empty := [key for key, value in weights.items() if not value.numel()]:
        raise CheckpointError(f"holds {empty[0]} without a number in it", where=where, fix="Download the whole of it")
    with torch.device("meta"):
        check_fit(make(), weights, where=where)
