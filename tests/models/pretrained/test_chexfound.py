"""Released CheXFound layouts: golden features, chunks, both networks, and that no part is left out in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.pretrained import is_chexfound, read_chexfound, read_tensors, sort_chexfound
from hilum.models.pretrained.chexfound import ChexfoundFile, HeadSizes
from hilum.models.vit import VisionTransformer, ViTConfig, vit_config

SMALL = ViTConfig(
    image_size=32, patch_size=8, width=64, depth=4, heads=1, mlp="swiglu", registers=2, layer_scale=1e-5,
    mask_token=True, position_resize="bicubic_offset",
)  # fmt: skip


def _head() -> dict[str, Tensor]:
    shapes = {"mlp.0.weight": (20, 64), "mlp.0.bias": (20,), "mlp.2.weight": (20, 20), "mlp.2.bias": (20,)}
    shapes |= {
        "mlp.4.weight": (8, 20),
        "mlp.4.bias": (8,),
        "last_layer.weight_g": (30, 1),
        "last_layer.weight_v": (30, 8),
    }
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def official(key: str, chunk: int | None = 2) -> str:
    """A key of ours as CheXFound writes it, `chunk` blocks a chunk."""
    parts = key.replace("reg_token", "register_tokens").split(".")
    if parts[0] == "blocks" and chunk:
        parts.insert(1, str(int(parts[1]) // chunk))
    return ".".join(parts)


@pytest.fixture
def backbone() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.clone() for key, value in VisionTransformer(SMALL).state_dict().items()}


@pytest.fixture
def teacher(backbone: dict[str, Tensor]) -> dict[str, Tensor]:
    """The content of {"teacher": ...}."""
    return {
        **{f"backbone.{official(key)}": value for key, value in backbone.items()},
        **{f"{name}.{key}": value for name in ("dino_head", "ibot_head") for key, value in _head().items()},
    }


def _sort(content: dict[str, Tensor], heads: int | None = None) -> ChexfoundFile:
    return sort_chexfound({f"teacher.{key}": value for key, value in content.items()}, heads=heads, where="FILE")


def _save(content: dict[str, Tensor], folder: Path) -> Path:
    torch.save({"teacher": content}, folder / "teacher_checkpoint.pth")
    return folder / "teacher_checkpoint.pth"


def test_golden_teacher_file(shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/chexfound_teacher.npz")
    encoder = hilum.load(shared / "golden/checkpoints/chexfound_teacher_checkpoint.pth", heads=4)
    for size in ("64", "128"):
        images = torch.from_numpy(golden[f"in/imgs/{size}"])
        taps = encoder.model.forward_intermediates(images, 4, norm=True)
        got = {
            "cls": encoder.embed(images),
            "patch": encoder.tokens(images),
            "reg": taps[-1][:, 1:5],
            "last4_cls": torch.cat([tap[:, 0] for tap in taps], dim=-1),
            "last4_patch": torch.cat([tap[:, 5:] for tap in taps], dim=-1),
        }
        for name, value in got.items():
            np.testing.assert_allclose(value.detach(), golden[f"out/{size}/{name}"], rtol=1e-4, atol=1e-5, err_msg=name)
    assert encoder.origin["layout"] == "chexfound"
    assert "120 of 136 tensors used" in encoder.origin["notes"][0]
    assert encoder.preprocessing.resize == "shortest"
    assert encoder.preprocessing.rescale == "minmax"


@pytest.mark.parametrize("case", ["full_centering_shared", "full_sinkhorn_separate"])
def test_golden_full_files(shared: Path, case: str) -> None:
    golden = np.load(shared / f"golden/chexfound/{case}.npz")
    tensors = {
        key.removeprefix("ckpt/model/"): torch.from_numpy(golden[key])
        for key in golden.files
        if key.startswith("ckpt/")
    }
    assert is_chexfound(tensors)
    file = sort_chexfound(tensors, heads=4, where=case)
    separate = case == "full_sinkhorn_separate"
    heads = ("dino_head", "ibot_head") if separate else ("dino_head",)
    for network in ("teacher", "student"):
        assert set(file.parts) >= {f"{network}.{part}" for part in ("backbone", *heads)}
        assert bool(file.part(f"{network}.ibot_head")) == separate
        fill(VisionTransformer(file.config), file.part(f"{network}.backbone"), where=case)
    assert file.part("teacher.backbone") is not file.part("student.backbone")
    assert file.head_sizes("student.dino_head") == HeadSizes(prototypes=48, hidden=32, bottleneck=16, layers=3)
    for ours, theirs in (("dino_center", "dino_loss"), ("ibot_center", "ibot_patch_loss")):
        if f"{theirs}.center" in tensors:
            assert torch.equal(file.part(ours)["center"], tensors[f"{theirs}.center"].reshape(1, -1))
    assert len(file.weights) == len(tensors)
    assert not file.dropped


@pytest.mark.parametrize("chunk", [None, 1, 2, 4])
def test_every_tensor_is_used_however_blocks_are_chunked(backbone: dict[str, Tensor], chunk: int | None) -> None:
    file = _sort({f"backbone.{official(key, chunk)}": value for key, value in backbone.items()})
    assert file.config == SMALL
    assert file.backbone.keys() == backbone.keys()
    for key, value in backbone.items():
        assert torch.equal(file.backbone[key], value)
    assert f"teacher.backbone: {len(backbone)} of {len(backbone)} tensors used" in file.report()
    assert file.report()[0] == "encoder: 4 blocks of width 64 with 1 heads, patch 8, 32 px, 3 channels"


def test_the_loader_that_ignores_strange_names_would_fill_no_block(teacher: dict[str, Tensor]) -> None:
    """What the released code does to a chunked file, and what this one does instead."""
    model = VisionTransformer(SMALL)
    theirs = {key.removeprefix("backbone."): value for key, value in teacher.items()}
    told = model.load_state_dict(theirs, strict=False)
    assert all(key in told.missing_keys for key in model.state_dict() if key.startswith("blocks."))
    fill(model, _sort(teacher).backbone, where="FILE")
    assert torch.equal(model.blocks[3].mlp.w12.weight, teacher["backbone.blocks.1.3.mlp.w12.weight"])


def test_files_whose_blocks_would_stay_empty_are_refused(teacher: dict[str, Tensor]) -> None:
    renamed = {key.replace("blocks.", "layers."): value for key, value in teacher.items()}
    with pytest.raises(
        CheckpointError, match=r"none of the \d+ tensors of its teacher.backbone belongs to a block.*layers"
    ):
        _sort(renamed)
    lost = {key: value for key, value in teacher.items() if ".blocks.0.1." not in key}
    with pytest.raises(CheckpointError, match=r"blocks up to 3 in its teacher.backbone, but not 1"):
        _sort(lost)
    half = {key: value for key, value in teacher.items() if key != "backbone.blocks.1.2.ls2.gamma"}
    with pytest.raises(CheckpointError, match=r"blocks.2.ls2.gamma is missing"):
        _sort(half)
    restarted = {key.replace("blocks.1.2.", "blocks.1.0."): value for key, value in teacher.items()}
    with pytest.raises(CheckpointError, match=r"two tensors are named teacher\.backbone\.blocks\.0"):
        _sort(restarted)
    with pytest.raises(CheckpointError, match=r"neither teacher\.backbone nor student"):
        _sort({key: value for key, value in teacher.items() if "head" in key})


def test_other_faults_are_refused(teacher: dict[str, Tensor]) -> None:
    for change, message in (
        ({"backbone.rope.periods": torch.zeros(3)}, "rope.periods has no place"),
        ({"backbone.pos_embed": torch.zeros(1, 16, 64)}, "no square grid and a class token"),
        ({"backbone.norm.bias": torch.full((64,), torch.nan)}, "norm.bias holds values that are not finite"),
        ({"backbone.cls_token": None}, "has no cls_token"),
        ({"dino_head.last_layer.weight_v": None}, "teacher.dino_head: has no last_layer.weight_v"),
        ({f"ibot_head.mlp.{n}.weight": None for n in (0, 2, 4)}, "teacher.ibot_head: has no mlp"),
        ({f"backbone.blocks.{n // 2}.{n}.mlp.w3.weight": None for n in range(4)}, "block 0 .* has no MLP"),
    ):
        changed = {key: value for key, value in {**teacher, **change}.items() if value is not None}
        with pytest.raises(CheckpointError, match=message):
            _sort(changed)
    with pytest.raises(CheckpointError, match="does not divide into 7 heads"):
        _sort(teacher, heads=7)


def test_a_student_must_be_whole_too(teacher: dict[str, Tensor]) -> None:
    both = {f"{network}.{key}": value for network in ("teacher", "student") for key, value in teacher.items()}
    assert sort_chexfound(both, heads=None, where="full").parts[:2] == ("teacher.backbone", "student.backbone")
    empty = {key: value for key, value in both.items() if "student.backbone.blocks" not in key}
    with pytest.raises(CheckpointError, match=r"none of the \d+ tensors of its student.backbone"):
        sort_chexfound(empty, heads=None, where="full")


def test_wrapped_names_strangers_and_what_is_left_aside(teacher: dict[str, Tensor], tmp_path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in teacher.items()} | {"optimizer_step": torch.zeros(1)}
    file = read_chexfound(_save(wrapped, tmp_path))
    assert [key for key, _ in file.dropped] == ["teacher.optimizer_step"]
    assert file.parts == ("teacher.backbone", "teacher.dino_head", "teacher.ibot_head")
    assert "teacher.dino_head: 8 left aside, 30 prototypes" in file.report()
    assert "teacher.dino_head: 8 of 8 tensors used, 30 prototypes" in file.report(file.parts)


def test_a_bare_dinov2_backbone(backbone: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({official(key, None): value for key, value in backbone.items()}, tmp_path / "dinov2.safetensors")
    assert is_chexfound(read_tensors(tmp_path / "dinov2.safetensors"))
    encoder = hilum.load(tmp_path / "dinov2.safetensors")
    assert encoder.origin["layout"] == "dinov2"
    assert encoder.preprocessing.rescale == "none"
    assert torch.equal(encoder.model.reg_token, backbone["reg_token"])
    assert not is_chexfound({key: value for key, value in backbone.items() if key not in ("mask_token", "reg_token")})


def test_the_transform_crops_and_then_stretches_each_film(teacher: dict[str, Tensor], tmp_path: Path) -> None:
    encoder = hilum.load(_save(teacher, tmp_path))
    film = np.full((32, 64), 100, dtype=np.uint8)
    film[:, 16:48] += np.arange(32, dtype=np.uint8)  # the centre, which is kept
    film[:, :8] = 255  # cut off, so without effect on the scale
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (encoder.preprocessing.mean, encoder.preprocessing.std))
    grey = encoder.transform(film) * std + mean
    torch.testing.assert_close(grey, (torch.arange(32) / 31).expand(3, 32, 32), rtol=1e-4, atol=1e-5)
    flat = encoder.transform(np.full((40, 40), 77, dtype=np.uint8)) * std + mean
    torch.testing.assert_close(flat, torch.zeros(3, 32, 32), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "count"), [(512, 304_630_016), (448, 304_384_256), (336, 304_033_024), (224, 303_782_144)]
)
def test_full_size_counts(size: int, count: int) -> None:
    with torch.device("meta"):
        model = VisionTransformer(
            vit_config(
                "vit_large_patch16", image_size=size, mlp="swiglu", registers=4, layer_scale=1e-5, mask_token=True
            )
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert model.blocks[0].mlp.w3.weight.shape == (1024, 2736)


@pytest.mark.parametrize("ratio", [4.0, 3.0, 2.5, 8 / 3])
def test_the_width_of_the_gated_mlp_is_found_again(ratio: float, tmp_path: Path) -> None:
    config = ViTConfig(image_size=16, patch_size=8, width=48, depth=1, heads=3, mlp="swiglu", mlp_ratio=ratio)
    weights = VisionTransformer(config).state_dict()
    file = sort_chexfound({f"teacher.backbone.{key}": v for key, v in weights.items()}, heads=3, where="made here")
    fill(VisionTransformer(file.config), weights, where="made here")
    assert ratio != 4.0 or file.config.mlp_ratio == 4.0
