"""BiomedCLIP: every tensor placed, what is refused, the real sizes. Features equal to open_clip's: see test_peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.text import ReportEncoder, TextConfig
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.layouts.biomedclip import LAYOUT
from hilum.released.pixels import record
from hilum.released.source import Source
from tests.words import vocabulary_of

TINY = ViTConfig(image_size=32, patch_size=8, width=64, depth=2, heads=1)
READER = TextConfig(width=64, depth=2, heads=1, hidden=128, positions=40)
CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"timm_model_name": "vit_tiny", "timm_pool": "", "timm_proj": "linear", "image_size": 32},
        "text_cfg": {"hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 24},
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.3, 0.2]},
}


def open_clip_file(
    image: ViTConfig = TINY, text: TextConfig = READER, vocabulary: int = 30, joint: int = 16
) -> dict[str, Tensor]:
    """Both sides under open_clip's names."""
    torch.manual_seed(0)
    inside = (text.width + joint) // 2
    file = {f"visual.trunk.{key}": value for key, value in VisionTransformer(image).state_dict().items()}
    reader = ReportEncoder(text, vocabulary, pooler=True).bert.state_dict()
    file |= {f"text.transformer.{key}": value for key, value in reader.items()}
    return file | {
        "visual.head.proj.weight": torch.randn(joint, image.width),
        "text.proj.0.weight": torch.randn(inside, text.width),
        "text.proj.2.weight": torch.randn(joint, inside),
        "text.transformer.embeddings.position_ids": torch.arange(text.positions)[None],
        "logit_scale": torch.tensor(4.6052),
    }


def folder_of(path: Path, **changes: Any) -> Path:
    path.mkdir(exist_ok=True)
    torch.save({**open_clip_file(), **changes}, path / "open_clip_pytorch_model.bin")
    (path / "open_clip_config.json").write_text(json.dumps(CONFIG))
    (path / "vocab.txt").write_text("\n".join(vocabulary_of(30, separator=True).pieces(range(30))) + "\n")
    return path


def test_a_folder_is_an_encoder_that_reads(tmp_path: Path) -> None:
    encoder = hilum.load(folder_of(tmp_path / "biomedclip"))
    assert encoder.origin["layout"] == "biomedclip"
    assert encoder.preprocessing.mean == (0.4, 0.5, 0.6)  # the folder is believed
    assert encoder.preprocessing.size == 32
    towers, words = encoder.require_towers()
    assert towers.config.length == 24
    assert towers.config.logit_scale == pytest.approx(100, rel=1e-3)
    film, tensors = torch.randn(2, 3, 32, 32), open_clip_file()
    torch.testing.assert_close(encoder.project(film), encoder.embed(film) @ tensors["visual.head.proj.weight"].T)
    read = words.encode("word1 word2", 24)
    ids, mask = (torch.from_numpy(part)[None] for part in (read.ids, read.mask))
    first = towers.text(ids, mask).tokens[:, 0]
    inner = torch.nn.functional.gelu(first @ tensors["text.proj.0.weight"].T)
    wanted = inner @ tensors["text.proj.2.weight"].T
    torch.testing.assert_close(encoder.embed_text(["word1 word2"]), wanted, rtol=1e-4, atol=1e-4)
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert torch.equal(again.embed_text(["word1 word2"]), encoder.embed_text(["word1 word2"]))
    assert torch.equal(again.project_tokens(film), encoder.project_tokens(film))


def test_a_bare_file_gets_biomedclips_own_pixels() -> None:
    source = Source(Path("open_clip_pytorch_model.bin"), open_clip_file())
    assert LAYOUT.recognise(source)
    found = LAYOUT.read(source, Asked())
    assert found.preprocessing == record("biomedclip", size=32)
    assert {key.removeprefix("text.transformer.") for key, _ in found.dropped} == {
        "embeddings.position_ids",
        "pooler.dense.weight",
        "pooler.dense.bias",
    }
    assert all("no part of" not in why for _, why in found.dropped)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visual.trunk.blocks.1.mlp.fc2.weight": None}, "blocks.1.mlp.fc2.weight is missing"),
        ({"visual.head.proj.weight": None}, "no projection of films"),
        ({"text.proj.0.weight": None}, "projection of reports has the parts 2.weight"),
        ({"text.transformer.encoder.layer.0.output.dense.weight": None}, "dense.weight is missing"),
        ({"visual.head.mlp.fc1.weight": torch.zeros(2)}, "no place for: visual.head.mlp.fc1.weight"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, Tensor | None], message: str, tmp_path: Path) -> None:
    tensors = {**open_clip_file(), **changes}
    folder = folder_of(tmp_path / "biomedclip")
    kept = {key: value for key, value in tensors.items() if value is not None}
    torch.save(kept, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(CheckpointError, match=message):
        hilum.load(folder)


@pytest.mark.parametrize(
    ("part", "said", "message"),
    [
        ("vision_cfg", {"timm_pool": "map"}, "films are pooled by 'map'"),
        ("text_cfg", {"hf_pooler_type": "mean_pooler"}, "reports are pooled by 'mean_pooler'"),
    ],
)
def test_other_pools_are_refused(part: str, said: dict[str, str], message: str) -> None:
    source = Source(Path("bin"), open_clip_file(), config={"model_cfg": {part: said}})
    with pytest.raises(CheckpointError, match=message):
        LAYOUT.read(source, Asked())


def test_the_real_size_can_be_built() -> None:
    image = ViTConfig(image_size=224, patch_size=16, width=768, depth=12, heads=12)
    text = TextConfig(width=768, depth=12, heads=12, hidden=3072, positions=512)
    with torch.device("meta"):
        tensors = open_clip_file(image, text, vocabulary=30_522, joint=512)
        found = LAYOUT.read(Source(Path("bin"), tensors), Asked())
        assert isinstance(found.architecture, ViTConfig)
        assert found.joint is not None
        model = VisionTransformer(found.architecture)
        towers = Towers(found.joint.config, 768, 196, found.joint.vocabulary)
    assert found.architecture.heads == 12
    assert found.joint.config.hidden == 640
    assert found.joint.config.length == 256
    for part, weights in ((model, found.image), (towers, found.joint.weights)):
        assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in part.state_dict().items()}
    count = sum(value.numel() for part in (model, towers) for value in part.parameters())
    assert count + 1 == 85_798_656 + 393_216 + 108_891_648 + 819_200 + 1  # with the temperature
