"""Other people's checkpoints come back as data; hostile ones become one sentence, and nothing in them runs."""

from __future__ import annotations

import argparse
import ast
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

from hilum.errors import CheckpointError
from hilum.models import unpickle
from hilum.models.unpickle import PickledModule, read_pickle
from tests.models.unpickling.assembly import mapping, packed, tensor, write
from tests.models.unpickling.hostile import HOSTILE, MARKER, REPRESENTATIVE
from tests.oracles.unsafe_loading import unsafe_loads

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = (
    *("chexfound_teacher_checkpoint.pth", "chexzero.pt", "evax_base.pt", "evax_small.pt", "gloria_resnet50.ckpt"),
    *(
        "maco.pth",
        "mae_finetune.pth",
        "mae_pretrain_encoder_only.pth",
        "mae_pretrain_full.pth",
        "mgca_vit.ckpt",
        "mrm.pth",
    ),
)


def _read(path: Path, content: Any, **options: Any) -> Any:
    torch.save(content, path, **options)
    return read_pickle(path)


@pytest.fixture(params=[True, False], ids=["archive", "stream"])
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Both formats of torch.save."""
    return {"_use_new_zipfile_serialization": request.param}


def test_an_honest_file_comes_back(tmp_path: Path, form: dict[str, Any]) -> None:
    weight = torch.randn(3, 4)
    content = {
        "model": OrderedDict(a=weight, b=weight.t(), half=weight.to(torch.bfloat16), same=weight),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "args": argparse.Namespace(lr=1e-3, name="mae", betas=(0.9, 0.95), out=PurePosixPath("/a/b"), on=True),
        "epoch": 3,
        "best": np.float64(0.5),
        "count": np.int64(7),
        "large": 10**30,
        "groups": {"x", "y"},
        "counts": defaultdict(int, a=1),
        (1, "two"): None,
        "raw": b"abc",
        "dtype": torch.float32,
        "device": torch.device("cuda:1"),
        "shape": torch.Size([2, 3]),
    }
    got = _read(tmp_path / "file.pth", content, **form)
    assert torch.equal(got["model"]["a"], weight)
    assert torch.equal(got["model"]["b"], weight.t())
    assert got["model"]["half"].dtype is torch.bfloat16
    assert got["model"]["a"].data_ptr() != got["model"]["same"].data_ptr()
    assert got["args"] == {"lr": 1e-3, "name": "mae", "betas": [0.9, 0.95], "out": "/a/b", "on": True}
    assert (got["epoch"], got["best"], got["count"], got["raw"]) == (3, 0.5, 7, "<3 bytes>")
    assert (got["large"], sorted(got["groups"]), got["counts"]) == ("<integer of 100 bits>", ["x", "y"], {"a": 1})
    assert (got["dtype"], got["device"], got["shape"]) == ("<torch.float32>", "cuda:1", [2, 3])
    assert got["(1, two)"] is None
    assert "optimizer" not in got


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(tmp_path: Path, form: dict[str, Any], protocol: int) -> None:
    content = {
        "a": torch.arange(6.0).reshape(2, 3),
        "n": argparse.Namespace(x=[1, 2.5, True, None], y=(1, 2, 3, 4), z=frozenset({1})),
        "array": np.arange(4, dtype=np.int16),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "scalar": np.float32(0.25),
        "long": 1 << 40,
        "umlaut": "Größe",
    }
    path = tmp_path / "file.pth"
    if protocol == 0:  # PyTorch's own cannot; a bare pickle of arrays can
        path.write_bytes(pickle.dumps(content | {"a": content["a"].numpy()}, protocol))
    else:
        torch.save(content, path, pickle_protocol=protocol, **form)
    got = read_pickle(path)
    assert torch.equal(got["a"], torch.arange(6.0).reshape(2, 3))
    assert got["n"] == {"x": [1, 2.5, True, None], "y": [1, 2, 3, 4], "z": [1]}
    assert torch.equal(got["array"], torch.arange(4, dtype=torch.int16))
    assert torch.equal(got["fortran"], torch.arange(6.0, dtype=torch.float64).reshape(2, 3))
    assert torch.equal(got["big"], torch.arange(3.0))
    assert (got["scalar"], got["long"], got["umlaut"]) == (0.25, 1 << 40, "Größe")


@pytest.mark.parametrize("file", GOLDENS)
def test_released_files_equal_what_pytorch_reads(shared: Path, file: str) -> None:
    path = shared / "golden/checkpoints" / file
    with torch.serialization.safe_globals([argparse.Namespace]):
        wanted = torch.load(path, weights_only=True)
    assert _same(read_pickle(path, skip=()), wanted) > 30


def _same(got: Any, wanted: Any) -> int:
    """How many tensors of two contents are equal; fails at the first that is not."""
    if isinstance(wanted, torch.Tensor):
        assert got.dtype is wanted.dtype
        assert torch.equal(got, wanted)
        return 1
    if isinstance(wanted, argparse.Namespace):
        wanted = vars(wanted)
    if isinstance(wanted, dict):
        assert list(got) == [str(key) for key in wanted]
        return sum(_same(got[str(key)], value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple):
        return sum(_same(a, b) for a, b in zip(got, wanted, strict=True))
    assert got == wanted
    return 0


class _Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
        self.again = self.body[0]
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_buffer("kept", torch.ones(2))
        self.pathologies = ["Mass", ""]


_Net.__module__ = "torchxrayvision.models"


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_pickled_network_is_its_state_dict(
    tmp_path: Path, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(sys)("torchxrayvision.models")
    module._Net = _Net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchxrayvision", type(sys)("torchxrayvision"))
    monkeypatch.setitem(sys.modules, "torchxrayvision.models", module)
    net = _Net()
    got = _read(tmp_path / "net.pt", net, **form)
    assert isinstance(got, PickledModule)
    assert got.kind == "torchxrayvision.models._Net"
    assert got.plain["pathologies"] == ["Mass", ""]
    assert got.plain["training"] is True
    assert _same(dict(got), dict(net.state_dict())) == 10
    wrapped = _read(tmp_path / "parallel.pt", {"model": torch.nn.Sequential(net), "epoch": 1}, **form)
    assert list(wrapped["model"]) == [f"0.{key}" for key in net.state_dict()]


class _Scripted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = torch.nn.Sequential(torch.nn.Linear(3, 4).half(), torch.nn.LayerNorm(4))
        self.scale = torch.nn.Parameter(torch.tensor(4.6))
        self.sizes = [1, 2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual(x) * self.scale + self.sizes[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_archive_is_its_state_dict(tmp_path: Path) -> None:
    net = _Scripted()
    torch.jit.save(torch.jit.script(net), tmp_path / "ViT-B-32.pt")
    got = read_pickle(tmp_path / "ViT-B-32.pt")
    assert _same({key: got[key] for key in net.state_dict()}, dict(net.state_dict())) == 5
    assert got.plain["sizes"] == [1, 2]


@pytest.mark.parametrize("dtype", ["complex64", "float8_e4m3fn", "uint16", "bool", "float64", "uint8"])
def test_number_types(tmp_path: Path, form: dict[str, Any], dtype: str) -> None:
    value = torch.tensor([0.0, 1.0, 1.0]).to(getattr(torch, dtype))
    got = _read(tmp_path / "file.pth", {"a": value}, **form)["a"]
    assert got == "<tensor of complex64>" if dtype == "complex64" else torch.equal(got, value)


def test_memory_laid_out_in_other_ways(tmp_path: Path, form: dict[str, Any]) -> None:
    base = torch.randn(40, 30, 3, 3)
    views = {
        "whole": base,
        "last": base.to(memory_format=torch.channels_last),
        "swapped": base.permute(3, 1, 0, 2),
        "part": base[5:9, 3:20:4],
        "column": base[:, 0, 0, 0],
        "one": base[3, 3, 1, 1],
        "spread": torch.arange(3.0)[:, None].expand(3, 5),
        "none": torch.empty(0, 7),
        "words": torch.arange(24, dtype=torch.int64).reshape(2, 3, 4).transpose(0, 2),
    }
    got = _read(tmp_path / "file.pth", views, **form)
    for name, view in views.items():
        assert torch.equal(got[name], view), name


def test_numbers_of_a_big_endian_machine(tmp_path: Path) -> None:
    numbers = np.arange(4, dtype=">f4").tobytes()
    path = write(tmp_path / "file.pth", packed(mapping(a=tensor()), {"0": numbers}, byteorder=b"big"))
    assert torch.equal(read_pickle(path)["a"], torch.arange(4.0))


class _Omega:
    """Stands for the classes of omegaconf, which the tests do not install."""


def test_omegaconf_becomes_plain_dictionaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {}
    monkeypatch.setitem(sys.modules, "omegaconf", type(sys)("omegaconf"))
    for module, name in (("dictconfig", "DictConfig"), ("listconfig", "ListConfig"), ("nodes", "AnyNode")):
        kinds[name] = type(name, (_Omega,), {"__module__": f"omegaconf.{module}"})
        made = type(sys)(f"omegaconf.{module}")
        setattr(made, name, kinds[name])
        monkeypatch.setitem(sys.modules, f"omegaconf.{module}", made)

    def node(name: str, **state: Any) -> Any:
        made = kinds[name]()
        made.__dict__.update(state, _metadata={"ref_type": Any})
        return made

    lr = node("AnyNode", _val=1e-4)
    sizes = node("ListConfig", _content=[node("AnyNode", _val=224), node("AnyNode", _val=None)])
    config = node("DictConfig", _content={"lr": lr, "sizes": sizes, "missing": node("DictConfig", _content="???")})
    lr._parent = config  # a node knows its owner: no way round in circles
    got = _read(tmp_path / "lightning.ckpt", {"hyper_parameters": config, "state_dict": {"a": torch.ones(1)}})
    assert got["hyper_parameters"] == {"lr": 1e-4, "sizes": [224, None], "missing": "???"}


def _one_sentence(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_pickle(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message.removeprefix(str(path))) < 400
    return message


def test_a_class_that_no_checkpoint_needs_is_named(tmp_path: Path) -> None:
    torch.save({"model": subprocess.CompletedProcess("x", 0)}, tmp_path / "object.pth")
    assert "CompletedProcess, which no checkpoint needs" in _one_sentence(tmp_path / "object.pth")


def test_a_program_that_torch_save_wrote_is_not_run(tmp_path: Path, form: dict[str, Any]) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch '{tmp_path / MARKER}'",)

    torch.save({"model": Hostile()}, tmp_path / "evil.pth", **form)
    assert "asks for posix.system" in _one_sentence(tmp_path / "evil.pth")
    assert not (tmp_path / MARKER).exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in _one_sentence(tmp_path / "absent.pth")


def test_a_safetensors_file_under_another_name_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "file.pth")
    assert "safetensors file under the name of a pickle" in _one_sentence(tmp_path / "file.pth")


def test_a_file_that_shrinks_while_it_is_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.randn(100_000)}, tmp_path / "file.pth")
    monkeypatch.setattr(unpickle, "_BOOTSTRAP", "import os; os.kill(os.getpid(), 7)")  # SIGBUS, as the kernel says it
    assert "its reader was stopped (exit -7)" in _one_sentence(tmp_path / "file.pth")


def test_a_reader_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "file.pth")
    monkeypatch.setattr(unpickle, "_BOOTSTRAP", "import time; time.sleep(60)")
    monkeypatch.setattr(unpickle, "seconds_for", lambda size: -7)
    assert "took more than 2 s" in _one_sentence(tmp_path / "file.pth")


# Runs each file through the door in a process that never held torch, so that the peak memory is the children's own.
_HARNESS = """
import json, os, resource, sys
from pathlib import Path
from tempfile import TemporaryDirectory
sys.path.append(sys.argv[1])
from hilum.errors import CheckpointError
from hilum.models.file_kinds import open_checkpoint
from hilum.models.unpickle import _run_child
def used():  # processor seconds of the children: a busy machine does not count
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
said = {}
for name, path in json.load(sys.stdin).items():
    start = used()
    try:
        with TemporaryDirectory() as folder, open_checkpoint(path) as (file, _):
            _run_child(file.fileno(), Path(path), Path(folder) / "result", ())
        message = None
    except CheckpointError as error:
        message = str(error)
    said[name] = (message, used() - start)
assert "torch" not in sys.modules
json.dump({"said": said, "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}, sys.stdout)
"""


def _refused(names: Iterable[str], folder: Path) -> None:
    """Read hostile files; each must be refused in one sentence, in time and memory, and leave nothing behind."""
    paths, before = {}, {}
    for place, name in enumerate(names):
        home = folder / str(place)
        home.mkdir()
        paths[name] = str(HOSTILE[name](home))
        before[home] = sorted(home.rglob("*"))
    work = folder / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", _HARNESS, str(ROOT)],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for name, (message, seconds) in told["said"].items():
        assert message is not None, f"{name}: was read"
        assert "\n" not in message
        assert message.startswith(paths[name]) or "\0" in paths[name], name
        assert len(message) < len(paths[name]) + 400, name
        assert seconds < 10, name
        if name.startswith("gadget"):
            assert "which no checkpoint needs" in message, f"{name}: {message}"
    assert told["peak"] < 1 << 20  # KiB
    assert all(sorted(home.rglob("*")) == files for home, files in before.items())
    assert not list(work.iterdir())


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    _refused(REPRESENTATIVE, tmp_path)


@pytest.mark.slow
def test_all_hostile_files_are_refused(tmp_path: Path) -> None:
    assert len(HOSTILE) > 200
    _refused(HOSTILE, tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads as read",
        "import torch as t\nt.load('x')",
        "from torch import load",
        "import torch\ntorch.jit.load('x')",
        "import torch\ntorch.hub.load('x', 'y')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import pandas as pd\npd.read_pickle('x')",
        "import yaml\nyaml.load('x')",
        "from yaml import unsafe_load",
        "import torch\nread = torch.load",
        "import torch\ngetattr(torch, 'load')('x')",
        "from importlib import import_module\nimport_module('pickle')",
        "import joblib",
        "def f():\n    import dill",
        "read(weights_only=False)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
    ],
)
def test_the_scan_of_the_house_finds_what_it_looks_for(source: str) -> None:
    assert unsafe_loads(ast.parse(source))
