"""Networks pickled whole by the packages that release them so: read as data, equal to their own state dict."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from hilum.models.pretrained.tensors import read_content


def _networks(name: str) -> torch.nn.Module:
    if name == "torchxrayvision":
        import torchxrayvision as xrv

        net = xrv.models.DenseNet(num_classes=18, in_channels=1, growth_rate=8, block_config=(2, 2, 2, 2))
        net.op_threshs, net.pathologies = torch.rand(18), ["Mass", ""]
        return net
    if name == "torchvision":
        import torchvision

        return torchvision.models.resnet18()
    if name == "timm":
        import timm

        return timm.create_model("vit_tiny_patch16_224", depth=2)
    import open_clip

    sizes = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    text = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    return open_clip.CLIP(embed_dim=16, vision_cfg=sizes, text_cfg=text)


@pytest.mark.timm
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["torchxrayvision", "torchvision", "timm", "open_clip"])
@pytest.mark.parametrize("archive", [True, False])
def test_a_network_pickled_whole(tmp_path: Path, name: str, archive: bool) -> None:
    torch.manual_seed(0)
    net = _networks(name).eval()
    torch.save(net, tmp_path / "net.pt", _use_new_zipfile_serialization=archive)
    got = read_content(tmp_path / "net.pt")
    wanted = net.state_dict()
    assert got.tensors.keys() == wanted.keys()
    assert all(torch.equal(got.tensors[key], value) for key, value in wanted.items())
    if name == "torchxrayvision":
        assert got.extra["class"] == "torchxrayvision.models.DenseNet"
        assert got.extra["pathologies"] == ["Mass", ""]


@pytest.mark.timm
@pytest.mark.filterwarnings("ignore")
def test_a_clip_in_torchscript(tmp_path: Path) -> None:
    net = _networks("open_clip").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace_module(net, {"encode_image": torch.rand(1, 3, 32, 32)}, check_trace=False)
        made.save(tmp_path / "clip.pt")
    got = read_content(tmp_path / "clip.pt").tensors
    wanted = net.state_dict()
    assert wanted.keys() <= got.keys() | {"attn_mask"}
    assert all(torch.equal(got[key], value) for key, value in wanted.items() if key in got)
