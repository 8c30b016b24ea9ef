"""Names of the Hugging Face Hub to folders on this machine: the local cache first, the network only if it may.

    resolve("microsoft/rad-dino")               # org/name
    resolve("hf://microsoft/rad-dino@v1.0")     # the same, of a revision
    resolve("timm:vit_small_patch16_224")       # what timm holds under this name, where timm is installed

A path that exists is itself. What a cache already holds is never asked for again, so a machine without a network works
once the files are there; HF_HUB_OFFLINE=1 forbids the network altogether. Only files that an encoder is built from are
fetched, pickles only where there are no safetensors, and nothing is reported to anyone.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hilum.checkpoint import CONFIG, FILES
from hilum.errors import CheckpointError
from hilum.released.layouts.timm_models import DOOR, repository_of

SCHEME: Final = "hf://"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # org/name
_BESIDE: Final = (
    *(CONFIG, FILES, "open_clip_config.json", "preprocessor_config.json", "adapter_config.json"),
    *("model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
_SAFE: Final = ("*.safetensors",)
_PICKLED: Final = ("pytorch_model.bin", "open_clip_pytorch_model.bin", "*.bin", "*.pth", "*.pt", "*.ckpt")
_ASIDE: Final = ("*/*", "optimizer*", "training_args*", "scheduler*", "rng_state*")  # no weights of an encoder


def name_of(folder: Path) -> str | None:
    """org/name@revision of a folder in the cache, for the records; None for any other."""
    parts = folder.parts
    if len(parts) < 3 or parts[-2] != "snapshots" or not parts[-3].startswith("models--"):
        return None
    return f"{parts[-3].removeprefix('models--').replace('--', '/')}@{parts[-1]}"


def is_name(name: str) -> bool:
    """Whether a text has the form of a Hub name: hf://org/name[@revision], or org/name."""
    return name.startswith(SCHEME) or _NAME.fullmatch(name) is not None


def resolve(source: str | Path) -> Path:
    """The folder of a Hub name, or the path itself.

    `org/name` is a path all the same where `org` is a folder here: a misspelt path asks no one on the network.

    Args:
        source: a path, `org/name`, `hf://org/name[@revision]`, or `timm:NAME`.

    Returns:
        A path on this machine.

    Raises:
        CheckpointError: nothing there and no such name; or not in the cache and not to be had, and why.
        MissingDependencyError: `timm:NAME` without timm.
    """
    name = re.sub(r"^hf:/+", SCHEME, str(source))  # a Path keeps one slash of two
    if name.startswith(DOOR):
        name = SCHEME + repository_of(name)
    here = Path(name)
    if not name.startswith(SCHEME) and (here.exists() or here.parent.is_dir() or not is_name(name)):
        return here
    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    if not _NAME.fullmatch(repository):
        raise CheckpointError(
            f"is no name of a repository: {repository!r}", where=name, fix="Write hf://org/name or hf://org/name@tag"
        )
    return _cached(repository, revision or None) or _fetched(repository, revision or None, name)


def _cached(repository: str, revision: str | None) -> Path | None:
    """The folder in the local cache, where it holds weights."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the first import
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    found: str | None
    try:
        found = huggingface_hub.snapshot_download(repository, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError as error:
        found = getattr(error, "snapshot_path", None)  # a snapshot without every file of the repository will do
    except (OSError, ValueError):
        return None
    return Path(found) if found is not None and _is_whole(Path(found)) else None


def _is_whole(folder: Path) -> bool:
    """Whether a snapshot holds weights, and all parts of them."""
    files = {file.name for file in folder.iterdir() if file.is_file()}
    if (index := "model.safetensors.index.json") in files:
        try:
            named = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False  # fetched again
        return {str(part) for part in named} <= files
    return bool(_matching(files, (*_SAFE, *_PICKLED)))


def _fetched(repository: str, revision: str | None, name: str) -> Path:
    """The folder, downloaded."""
    import huggingface_hub
    from huggingface_hub import errors

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise CheckpointError(
            f"no such file or folder, and {repository} is not in the Hugging Face cache",
            where=name,
            fix="HF_HUB_OFFLINE forbids to fetch it: unset that, or give a folder",
        )
    try:
        files = _needed(huggingface_hub.HfApi().list_repo_files(repository, revision=revision), name)
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=files))
    except CheckpointError:
        raise
    except errors.GatedRepoError as error:
        what, fix = f"{repository} is gated", "Accept its terms on the Hub, and log in with: hf auth login"
        raise CheckpointError(what, where=name, fix=fix) from error
    except errors.RevisionNotFoundError as error:
        what = f"{repository} has no revision {revision}"
        raise CheckpointError(what, where=name, fix="Leave it out for the newest") from error
    except errors.RepositoryNotFoundError as error:
        what = f"no such file or folder, and no repository {repository} that you may read"
        raise CheckpointError(what, where=name, fix="Check the name; a private one needs: hf auth login") from error
    except Exception as error:  # each HTTP library raises its own when there is no network; the user needs one sentence
        what = f"no such file or folder, and {repository} can neither be found in the cache nor fetched"
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise CheckpointError(f"{what} ({why})", where=name, fix="Check the network, or give a folder") from error


def _needed(files: Iterable[str], name: str) -> list[str]:
    """The files that an encoder is built from: what lies beside the weights, and the weights of the safest kind.

    Raises:
        CheckpointError: the repository holds no weights.
    """
    top = [file for file in files if not _matching([file], _ASIDE)]
    for kind in (_SAFE, _PICKLED):
        if weights := _usual(_matching(top, kind)):
            return [*_matching(top, _BESIDE), *weights]
    raise CheckpointError("holds no weights at its top", where=name, fix="Give the name of an encoder's repository")


def _usual(weights: list[str]) -> list[str]:
    """One set of weights of several: those by the usual name, in one file or in parts."""
    usual = [file for file in weights if re.match(r"(open_clip_)?(pytorch_)?model(-\d+-of-\d+)?\.", file)]
    return usual or weights


def _matching(files: Iterable[str], patterns: Iterable[str]) -> list[str]:
    kept = tuple(patterns)
    return [file for file in files if any(fnmatch.fnmatchcase(file, pattern) for pattern in kept)]
