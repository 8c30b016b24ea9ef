"""Names of the Hub: the cache before the network, only what an encoder needs, and one sentence where it ends."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors

import hilum
from hilum.errors import CheckpointError, MissingDependencyError
from hilum.released.hub import is_name, name_of, resolve
from tests.released.huggingface_models import saved

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a network whose use is a fault."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: pytest.fail("asked the network"))
    monkeypatch.chdir(tmp_path)
    return folder


def keep(cache: Path, repository: str, files: Path) -> Path:
    """Lay files into the cache as the Hub's client does: a snapshot of links, and a name for it."""
    store = cache / f"models--{repository.replace('/', '--')}"
    snapshot = store / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(COMMIT)
    (store / "blobs").mkdir()
    for file in files.iterdir():
        shutil.copy(file, store / "blobs" / file.name)
        (snapshot / file.name).symlink_to(store / "blobs" / file.name)
    return snapshot


def answer(monkeypatch: pytest.MonkeyPatch, files: list[str] | Exception, got: list[Any]) -> None:
    """A network that lists these files, or raises; what would be fetched is left in `got`."""

    def listed(repository: str, revision: str | None = None) -> list[str]:
        if isinstance(files, Exception):
            raise files
        return files

    def fetch(repository: str, *, revision: str | None = None, **options: Any) -> str:
        if options.get("local_files_only"):
            raise errors.LocalEntryNotFoundError("nothing here")
        got.append((repository, revision, options["allow_patterns"]))
        return "/fetched"

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_files=listed))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_an_encoder_comes_out_of_the_cache(cache: Path, tmp_path: Path) -> None:
    folder = saved("dinov2", tmp_path / "files")
    snapshot = keep(cache, "clinic/encoder", folder)
    for name in ("clinic/encoder", "hf://clinic/encoder", "hf:/clinic/encoder", f"hf://clinic/encoder@{COMMIT}"):
        assert resolve(name) == snapshot
    assert resolve(Path("hf://clinic/encoder")) == snapshot
    found, plain = hilum.load("clinic/encoder"), hilum.load(folder)
    assert all(torch.equal(value, found.model.state_dict()[key]) for key, value in plain.model.state_dict().items())
    assert found.origin["file"] == f"clinic/encoder@{COMMIT}"


def test_a_path_is_itself(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mae").mkdir(parents=True)
    for path in ("runs/mae", "runs/typo", "./a/b", str(tmp_path / "nowhere"), "encoder.pth", "a/b/c"):
        assert resolve(path) == Path(path)
    with pytest.raises(CheckpointError, match="no such file or folder"):
        hilum.load("runs/typo")


@pytest.mark.parametrize(
    ("name", "said"),
    [("org/name", True), ("hf://x", True), ("a/b/c", False), ("../a", False), ("/a/b", False), ("name", False)],
)
def test_what_looks_like_a_name(name: str, said: bool) -> None:
    assert is_name(name) == said


def test_folders_outside_a_cache_have_no_name(tmp_path: Path) -> None:
    assert name_of(tmp_path) is None
    assert name_of(Path("models--a--b/snapshots/abc")) == "a/b@abc"


def test_a_cache_with_half_of_the_weights_does_not_do(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (parts / names["a"]).write_text("weights")
    snapshot = keep(cache, "clinic/half", parts)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="clinic/half is not in the Hugging Face cache"):
        resolve("clinic/half")
    (snapshot / names["b"]).write_text("weights")
    assert resolve("clinic/half") == snapshot
    (snapshot / "model.safetensors.index.json").unlink()
    (snapshot / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not in the Hugging Face cache"):
        resolve("clinic/half")


def test_a_snapshot_known_to_lack_files_will_do(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_text("weights")

    def partial(*args: Any, **options: Any) -> str:
        raise errors.IncompleteSnapshotError("lacks README.md", snapshot_path=str(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", partial)
    assert resolve("clinic/encoder") == tmp_path


def test_only_what_an_encoder_needs_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Any] = []
    files = ["README.md", "config.json", "preprocessor_config.json", "model.safetensors", "dino_head.safetensors"]
    answer(monkeypatch, [*files, "pytorch_model.bin", "onnx/model.safetensors", "modeling.py"], got)
    assert resolve("clinic/encoder") == Path("/fetched")
    assert got == [("clinic/encoder", None, ["config.json", "preprocessor_config.json", "model.safetensors"])]
    answer(monkeypatch, ["vit.pth", "optimizer.pt", "vocab.txt"], got)
    resolve("hf://clinic/old@v1")
    assert got[1] == ("clinic/old", "v1", ["vocab.txt", "vit.pth"])
    answer(monkeypatch, ["README.md", "runs/model.safetensors"], got)
    with pytest.raises(CheckpointError, match="holds no weights at its top"):
        resolve("clinic/data")


def refusal(kind: type[Exception]) -> Exception:
    """An error of the Hub's, without the answer of a server that it is made from."""
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refusal(errors.RepositoryNotFoundError), "no repository clinic/encoder that you may read"),
        (refusal(errors.GatedRepoError), "clinic/encoder is gated"),
        (refusal(errors.RevisionNotFoundError), "clinic/encoder has no revision v9"),
        (ConnectionError("no route\nto host"), r"nor fetched \(ConnectionError: no route to host\)"),
    ],
)
def test_each_way_to_fail_is_one_sentence(
    fault: Exception, said: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, fault, [])
    with pytest.raises(CheckpointError, match=said) as caught:
        resolve("hf://clinic/encoder@v9")
    assert "\n" not in str(caught.value)


def test_offline_asks_no_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE forbids"):
        resolve("clinic/encoder")
    with pytest.raises(CheckpointError, match="is no name of a repository: 'x'"):
        resolve("hf://x")


def test_timm_names_lead_to_the_hub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"vit_tiny": ["vit_tiny.a", "vit_tiny.b"], "vit_new": []}
    timm = SimpleNamespace(
        __version__="9",
        is_model=lambda name: name in known,
        list_models=lambda pattern: [name for name in known if name.startswith(pattern.strip("*"))],
        list_pretrained=lambda pattern: known[pattern.removesuffix(".*")],
        get_pretrained_cfg=lambda name: SimpleNamespace(hf_hub_id="timm/vit_tiny.a"),
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.safetensors").write_text("weights")
    snapshot = keep(cache, "timm/vit_tiny.a", tmp_path / "files")
    assert resolve("timm:vit_tiny") == resolve("timm:vit_tiny.a") == snapshot
    for name, said in {
        "vit_tiny.c": "no pretrained weights for it of the tag c. It has a, b",
        "vit_ti": "no architecture of this name. It has vit_tiny",
        "vit_new": "no pretrained weights for it. Give a file",
    }.items():
        with pytest.raises(CheckpointError, match=said):
            resolve(f"timm:{name}")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[timm\]'"):
        hilum.load("timm:vit_tiny")
