"""The door: a wrong file is called by what it is, a right one is accounted for to the last tensor."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError, ConfigError, UserError
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.layouts import LAYOUTS
from hilum.released.pixels import as_markdown
from hilum.released.source import open_source

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = {  # file -> (layout, heads)
    "mae_pretrain_encoder_only.pth": ("mae", 3),
    "mae_pretrain_full.pth": ("mae", 3),
    "mae_finetune.pth": ("mae", 3),
    "mrm.pth": ("mrm", 3),
    "maco.pth": ("maco", 3),
    "mgca_vit.ckpt": ("mgca", 4),
    "chexfound_teacher_checkpoint.pth": ("chexfound", 4),
    "evax_small.pt": ("eva-x", 3),
    "evax_base.pt": ("eva-x", 3),
    "chexzero.pt": ("chexzero", None),
    "gloria_resnet50.ckpt": ("gloria", None),
    "rad_dino": ("huggingface", None),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_each_official_file_finds_its_layout_and_survives_the_way_round(
    name: str, shared: Path, tmp_path: Path
) -> None:
    layout, heads = GOLDEN[name]
    encoder = hilum.load(shared / "golden/checkpoints" / name, heads=heads)
    assert encoder.origin["layout"] == layout
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert (again.preprocessing, again.pool, again.origin) == (encoder.preprocessing, encoder.pool, encoder.origin)
    for key, value in encoder.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value), key
    total = len(open_source(shared / "golden/checkpoints" / name).tensors)
    assert f"of {total} tensors used" in encoder.origin["notes"][0]


def page(path: Path) -> Path:
    path.write_text("<!DOCTYPE html><html><body>Sign in to continue</body></html>")
    return path


def pointer(path: Path) -> Path:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 343\n")
    return path


def cut_short(path: Path) -> Path:
    torch.save({"model": {"a": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def short_safetensors(path: Path) -> Path:
    path = path.with_suffix(".safetensors")
    save_file({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def holding(*tensors: tuple[str, tuple[int, ...]]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        torch.save({name: torch.zeros(shape) for name, shape in tensors}, path)
        return path

    return write


TEXT = (
    ("bert.embeddings.word_embeddings.weight", (100, 8)),
    *((f"bert.encoder.layer.{number}.output.dense.weight", (8, 8)) for number in range(3)),
)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (page, "HTML page"),
        (pointer, "a pointer of Git LFS"),
        (cut_short, "a download that broke off"),
        (short_safetensors, "a download that broke off"),
        (holding(*TEXT), "a text encoder of BERT's kind: 3 layers of width 8, 100 word pieces"),
        (holding(("base.blocks.0.attn.qkv.lora_A.weight", (2, 2))), "a LoRA adapter"),
        (holding(("fc.weight", (5, 8)), ("fc.bias", (5,))), "a head of 2 tensors"),
        (holding(("layers.0.blocks.0.attn.relative_position_bias_table", (9, 3))), "a Swin transformer"),
    ],
)
def test_a_wrong_file_is_called_by_what_it_is(write: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "encoder.pth")
    with pytest.raises(CheckpointError, match=said) as error:
        hilum.load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def resnet50() -> dict[str, Tensor]:
    return dict(ResNet(ResNetConfig(planes=4, stem=4)).state_dict())


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("resnet", "gloria", "convirt")])
def test_a_resnet_where_another_is_named(layout: str, tmp_path: Path) -> None:
    torch.save(resnet50(), tmp_path / "r.pth")
    with pytest.raises(CheckpointError, match="is a ResNet-50"):
        hilum.load(tmp_path / "r.pth", layout=layout)


def test_options_that_do_not_fit(shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden/checkpoints"
    with pytest.raises(ConfigError, match=r"unknown layout 'mea'.*Did you mean 'mae'"):
        hilum.load(folder / "mrm.pth", layout="mea")
    with pytest.raises(CheckpointError, match=r"width 48 does not divide into 7 heads.*--heads"):
        hilum.load(folder / "evax_small.pt", heads=7)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.raises(CheckpointError, match=r"no text tower is read from it. Leave out the tokenizer"):
        hilum.load(folder / "mae_pretrain_full.pth", heads=3, tokenizer=tmp_path / "vocab.txt")
    with pytest.raises(CheckpointError, match=r"60 word pieces and the tokenizer has 6"):
        hilum.load(folder / "maco.pth", heads=3, tokenizer=tmp_path / "vocab.txt")
    ours = hilum.load(folder / "mrm.pth", heads=3).save(tmp_path / "ours")
    with pytest.raises(ConfigError, match="says itself what its heads is"):
        hilum.load(ours, heads=3)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("evax_base.pt", {"heads": 0}, "--heads: must be 1 or more, and is 0"),
        ("gloria_resnet50.ckpt", {"image_size": -4}, "--image-size: must be 1 or more, and is -4"),
        ("evax_base.pt", {"image_size": 96}, "--image-size: 96 was asked for, and this file is read with 64"),
        ("mae_finetune.pth", {"heads": 3, "patch_stride": 8}, "--patch-stride: 8 was asked for, and .* with 16"),
    ],
)
def test_no_answer_is_silently_left_unheard(name: str, options: dict[str, int], said: str, shared: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        hilum.load(shared / "golden/checkpoints" / name, **options)  # type: ignore[arg-type]
    found = hilum.load(shared / "golden/checkpoints/gloria_resnet50.ckpt", heads=3)
    assert "--heads was not needed: what is read has none" in found.origin["notes"]


def test_another_layout_than_named_is_called_by_its_name(shared: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not in the layout mae; is a transformer .*, in the layout eva-x"):
        hilum.load(shared / "golden/checkpoints/evax_base.pt", layout="mae")


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.endswith(("pth", "ckpt", "pt"))])
def test_a_block_that_is_missing_is_never_left_at_random(name: str, shared: Path, tmp_path: Path) -> None:
    layout, heads = GOLDEN[name]
    tensors = dict(open_source(shared / "golden/checkpoints" / name).tensors)
    inside = [key for key in tensors if any(part in key for part in (".attn.", "layer2.0.conv"))]
    image = [key for key in inside if "decoder" not in key and "text" not in key and not key.startswith("transformer")]
    lost = image[len(image) // 2]
    del tensors[lost]
    torch.save({"state_dict": tensors}, tmp_path / f"{layout}.pth")
    with pytest.raises(UserError) as error:
        hilum.load(tmp_path / f"{layout}.pth", heads=heads, layout=layout)
    assert "\n" not in str(error.value)


def golden(shared: Path, name: str) -> dict[str, Tensor]:
    return dict(open_source(shared / "golden/checkpoints" / name).tensors)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "model.", "net.backbone."])
@pytest.mark.parametrize(
    ("name", "layout"), [("mae_pretrain_full.pth", "mae"), ("mrm.pth", "mrm"), ("evax_base.pt", "eva-x")]
)
def test_what_a_training_program_puts_before_names_comes_off(
    name: str, layout: str, prefix: str, shared: Path, tmp_path: Path
) -> None:
    tensors = golden(shared, name)
    torch.save({"state_dict": {prefix + key: value for key, value in tensors.items()}}, tmp_path / "run.ckpt")
    for asked in (None, layout):
        found = hilum.load(tmp_path / "run.ckpt", heads=3, layout=asked)
        assert found.origin["layout"] == layout
        plain = hilum.load(shared / "golden/checkpoints" / name, heads=3).model.state_dict()
        assert all(torch.equal(value, plain[key]) for key, value in found.model.state_dict().items())


def test_which_of_two_networks_was_read_is_said(shared: Path, tmp_path: Path) -> None:
    tensors = golden(shared, "mae_pretrain_encoder_only.pth")
    other = {key: value + 1 for key, value in tensors.items()}
    torch.save({"model": tensors, "model_ema": other, "optimizer": {"x": torch.ones(1)}}, tmp_path / "run.pth")
    found = hilum.load(tmp_path / "run.pth", heads=3)
    assert "read from model_ema; left aside in the file: model" in found.origin["notes"]
    assert torch.equal(found.model.state_dict()["norm.bias"], other["norm.bias"])


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("evax_base.pt", "blocks.1."),
        ("chexfound_teacher_checkpoint.pth", "teacher.backbone.blocks.0.1."),
        ("gloria_resnet50.ckpt", "gloria.img_encoder.model.layer2.1."),
        ("mae_finetune.pth", "blocks.1."),
    ],
)
def test_the_number_of_a_block_takes_no_memory(name: str, block: str, shared: Path, tmp_path: Path) -> None:
    tensors = golden(shared, name)
    far = re.sub(r"\d+\.$", "99999999999.", block)
    renamed = {key.replace(block, far, 1): value for key, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    torch.save(renamed, tmp_path / "far.pth")
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        hilum.load(tmp_path / "far.pth", layout=GOLDEN[name][0])
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("config", "pixels"),
    [
        ({"model_type": []}, {}),
        ({"layer_norm_eps": "small"}, {}),
        ({"num_attention_heads": "x"}, {}),
        ({}, {"image_mean": [0.5, [1], 0.5]}),
        ({}, {"rescale_factor": "x"}),
        ({}, {"resample": {}}),
    ],
)
def test_values_of_a_form_that_nobody_foresaw_are_one_sentence(
    config: dict[str, object], pixels: dict[str, object], shared: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rad"
    shutil.copytree(shared / "golden/checkpoints/rad_dino", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    for name, changes in (("config.json", config), ("preprocessor_config.json", pixels)):
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))
    with pytest.raises(CheckpointError) as error:
        hilum.load(folder)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_weights_that_are_not_numbers_are_not_called_another_architecture(shared: Path, tmp_path: Path) -> None:
    tensors = golden(shared, "evax_base.pt")
    torch.save({**tensors, "blocks.1.norm1.bias": tensors["blocks.1.norm1.bias"] / 0}, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match=r"is damaged: blocks\.1\.norm1\.bias holds values that are not finite"):
        hilum.load(tmp_path / "nan.pth", heads=3)
    torch.save({**tensors, "blocks.1.norm1.bias": torch.zeros(0)}, tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match=r"holds blocks\.1\.norm1\.bias without a number in it"):
        hilum.load(tmp_path / "none.pth", heads=3)


def test_every_layout_reads_and_the_docs_have_their_pixels() -> None:
    text = (ROOT / "docs/encoders.md").read_text()
    assert as_markdown() in text
    assert json.dumps(sorted(LAYOUTS))  # plain names
    for name in LAYOUTS:
        assert name == name.lower()


def test_dinov2s_names_may_be_rad_dinos_and_registers_have_a_rule_of_their_own(tmp_path: Path) -> None:
    sizes = ViTConfig(image_size=28, patch_size=14, width=16, depth=1, heads=2, layer_scale=1e-5, mask_token=True)
    weights = VisionTransformer(sizes).state_dict()
    for name, mean in (("dinov2_vitb14.pth", 0.485), ("rad_dino_backbone.pth", 0.5307)):
        torch.save(weights, tmp_path / name)
        encoder = hilum.load(tmp_path / name, heads=2)
        assert encoder.preprocessing.mean[0] == mean
        assert encoder.model.config.position_resize == "bicubic_offset"
    weights["register_tokens"] = torch.zeros(1, 4, 16)
    torch.save(weights, tmp_path / "dinov2_vitb14_reg4.pth")
    assert hilum.load(tmp_path / "dinov2_vitb14_reg4.pth", heads=2).model.config.position_resize == "bicubic_antialias"


def test_a_tensor_that_is_not_read_is_not_called_missing(shared: Path, tmp_path: Path) -> None:
    tensors = dict(open_source(shared / "golden/checkpoints/mae_pretrain_full.pth").tensors)
    tensors["blocks.1.attn.qkv.weight"] = tensors["blocks.1.attn.qkv.weight"].to(torch.complex64)
    torch.save({"model": tensors}, tmp_path / "f.pth")
    with pytest.raises(CheckpointError, match=r"not read in it.*: blocks\.1\.attn\.qkv\.weight tensor of complex64"):
        hilum.load(tmp_path / "f.pth", heads=3)
