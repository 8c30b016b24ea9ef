"""A released file or folder, opened: its tensors as data, and the plain values that lie beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.tensors import read_content

_INDEX: Final = "model.safetensors.index.json"  # of weights in several files
_WEIGHTS: Final = ("*.safetensors", "*.bin", "*.pth", "*.pt", "*.ckpt")  # what runs no code before what might
_CONFIGS: Final = ("config.json", "open_clip_config.json")
_PIXELS: Final = "preprocessor_config.json"
_TOKENIZERS: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "bpe_simple_vocab_16e6.txt.gz")
_LONGEST: Final = 16 << 20  # bytes of a configuration
_ASIDE: Final = ("optimizer", "training_args", "scheduler", "rng_state", "scaler", "adapter_model")  # not weights


@dataclass(frozen=True)
class Source:
    """What lay at a path."""

    path: Path  # as the user named it
    tensors: Mapping[str, Tensor]  # names of the file, wrappers such as "state_dict" opened
    config: Mapping[str, Any] = field(default_factory=dict)  # config.json or open_clip_config.json
    pixels: Mapping[str, Any] = field(default_factory=dict)  # preprocessor_config.json
    wrapper: str = ""  # under which name the tensors lay in the file
    extra: Mapping[str, Any] = field(default_factory=dict)  # plain values of the file: args, hyper_parameters, epoch
    weights: tuple[Path, ...] = ()  # the files read
    tokenizer: Path | None = None  # where one lies in the folder
    aside: tuple[str, ...] = ()  # other networks in the file, passed over for the one in the wrapper

    @property
    def unread(self) -> list[str]:
        """Tensors that the safe reader gives back as words: complex, sparse, quantised ones."""
        found = {key: value for key, value in self.extra.items() if isinstance(value, str)}
        return [f"{key} {value[1:-1]}" for key, value in found.items() if value.startswith("<tensor of ")]


def open_source(path: str | Path) -> Source:
    """Open a file, or a folder as the Hugging Face Hub lays it out; pickles are read in the safe child alone.

    Raises:
        CheckpointError: nothing there, no weights in the folder, or unreadable.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("no such file or folder", where=path, fix="Check the path")
    if not path.is_dir():
        content = read_content(path)
        found, aside = content.tensors, content.aside
        return Source(path, found, wrapper=content.wrapper, extra=content.extra, weights=(path,), aside=aside)
    config = next((_json(path / name) for name in _CONFIGS if (path / name).is_file()), {})
    if (path / "adapter_config.json").is_file():
        raise CheckpointError(
            "is a LoRA adapter: a change to an encoder, without the encoder",
            where=path,
            fix="Merge it into its base model first, and give the folder of the merged model",
        )
    files = _weights(path)
    tensors: dict[str, Tensor] = {}
    wrapper, extra, aside = "", dict[str, Any](), tuple[str, ...]()
    for file in files:
        content = read_content(file)
        wrapper, extra, aside = content.wrapper, {**extra, **content.extra}, content.aside
        tensors.update(content.tensors)
    tokenizer = path if any((path / name).is_file() for name in _TOKENIZERS) else None
    pixels = _json(path / _PIXELS) if (path / _PIXELS).is_file() else {}
    return Source(path, tensors, config, pixels, wrapper, extra, tuple(files), tokenizer, aside)


def _weights(folder: Path) -> list[Path]:
    """The files that hold the weights: all parts of an index, else the only file of the safest kind there is."""
    index = folder / _INDEX
    if index.is_file():
        named = _json(index).get("weight_map", {})
        files = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
        if not files or any(Path(name).name != name for name in files):
            raise CheckpointError("lists no weights, or files outside its folder", where=index)
        absent = [name for name in files if not (folder / name).is_file()]
        if absent:
            raise CheckpointError(
                f"names {absent[0]}, which is not there", where=index, fix="Download the whole folder"
            )
        return [folder / name for name in files]
    for pattern in _WEIGHTS:
        found = sorted(file for file in folder.glob(pattern) if file.is_file() and not file.name.startswith(_ASIDE))
        if len(found) > 1:
            usual = [file for file in found if file.stem in ("model", "pytorch_model", "open_clip_pytorch_model")]
            if len(usual) != 1:
                names = ", ".join(file.name for file in found[:5])
                raise CheckpointError(f"holds several files of weights: {names}", where=folder, fix="Name one of them")
            found = usual
        if found:
            return found
    if any(folder.glob("*.onnx")):
        raise CheckpointError(
            "holds an ONNX graph, which is a way out and not back", where=folder, fix="Give what it was exported from"
        )
    raise CheckpointError(
        "holds no encoder: neither one of ours nor a file of weights",
        where=folder,
        fix="Give a finished pretraining run, an encoder folder, or a released file or folder",
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        if (size := file.stat().st_size) > _LONGEST:
            raise ValueError(f"{size:,} bytes are more than any configuration has")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"is no JSON that can be read ({error})", where=file, fix="Download it again") from error
    if not isinstance(found, dict):
        raise CheckpointError("is no JSON object", where=file, fix="Download it again")
    return found
