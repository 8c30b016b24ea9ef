"""open_clip itself against its weights read by us: CLIP's three image towers, and BiomedCLIP's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import hilum
from hilum.models.backbone import build_backbone
from hilum.models.clip_resnet import ClipResNetConfig
from hilum.models.towers import Towers
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.layouts.clip import PUBMEDCLIP
from hilum.released.source import Source
from tests.byte_pairs import byte_pairs_of
from tests.released.layouts.test_biomedclip import open_clip_file
from tests.words import vocabulary_of

pytestmark = pytest.mark.timm

TEXTS = ("no effusion", "the lungs are clear and the heart is normal")
VISION: dict[str, dict[str, Any]] = {
    "ViT": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "ResNet": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16},
}


def randomised(model: Any) -> Any:
    """The network with weights that leave no part without a say."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point() and name != "logit_scale":
                value.copy_(0.1 * torch.randn_like(value) + (value.ndim == 1 and name.endswith("weight")))
    return model.eval()


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(F.normalize(got, dim=-1), F.normalize(wanted, dim=-1), rtol=1e-4, atol=1e-4)


def write(folder: Path, model: Any, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    said = {"model_cfg": config, "preprocess_cfg": {"mean": [0.4] * 3, "std": [0.3] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("kind", VISION)
@torch.no_grad()
def test_clip(kind: str, quick: bool, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip_torch")
    words = byte_pairs_of(tmp_path)
    text = {"context_length": 20, "vocab_size": len(words), "width": 32, "heads": 4, "layers": 2}
    config = {"embed_dim": 24, "vision_cfg": VISION[kind], "text_cfg": text, "quick_gelu": quick}
    theirs = randomised(open_clip.CLIP(**config))
    folder = write(tmp_path / "folder", theirs, config)
    encoder = hilum.load(folder, tokenizer=tmp_path, heads=None if kind == "ViT" else 8)
    assert encoder.origin["layout"] == "clip"
    films = torch.randn(2, 3, 64, 64)
    close(encoder.project(films), theirs.encode_image(films))
    ids = torch.stack([torch.from_numpy(words.encode(one, 20).ids) for one in TEXTS])
    close(encoder.embed_text(TEXTS), theirs.encode_text(ids))
    assert encoder.towers is not None
    assert encoder.towers.config.logit_scale == pytest.approx(float(theirs.logit_scale.exp()))


@torch.no_grad()
def test_biomedclip(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip_torch")
    transformers = pytest.importorskip("transformers")
    words = vocabulary_of(40, separator=True)
    bert = transformers.BertConfig(
        vocab_size=40,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=96,
        max_position_embeddings=30,
    )
    bert.save_pretrained(tmp_path / "bert")
    config: dict[str, Any] = {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": {
            "hf_model_name": str(tmp_path / "bert"),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 16,
        },
    }
    theirs = randomised(open_clip.CustomTextCLIP(**config))
    assert {name.split(".")[0] for name in theirs.state_dict()} == {name.split(".")[0] for name in open_clip_file()}
    folder = write(tmp_path / "folder", theirs, config)
    words.save(folder / "tokenizer.json")
    encoder = hilum.load(folder, heads=2)
    films = torch.randn(2, 3, 160, 160)
    close(encoder.project(films), theirs.encode_image(films))
    texts = ("word1 word2 word3", "word7")
    ids = torch.stack([torch.from_numpy(words.encode(one, 16).ids) for one in texts])
    close(encoder.embed_text(texts), theirs.encode_text(ids))
    assert encoder.preprocessing.mean == (0.4, 0.4, 0.4)


@pytest.mark.parametrize(
    ("layers", "width", "heads", "size", "joint", "text", "count"),
    [
        ([3, 4, 6, 3], 64, 32, 224, 1024, 512, 102_007_137),
        ([4, 6, 10, 6], 80, 40, 288, 640, 640, 178_300_601),
        (12, 768, 12, 224, 512, 512, 151_277_313),
    ],
    ids=["RN50", "RN50x4", "ViT-B-32"],
)
def test_the_real_sizes_of_pubmedclip(
    layers: Any, width: int, heads: int, size: int, joint: int, text: int, count: int
) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip_torch")
    with torch.device("meta"):
        theirs = open_clip.CLIP(
            embed_dim=joint,
            vision_cfg={"image_size": size, "layers": layers, "width": width, "patch_size": 32},
            text_cfg={"width": text, "heads": text // 64},
            quick_gelu=True,
        )
    assert sum(value.numel() for value in theirs.parameters()) == count  # as OpenAI's releases have
    found = PUBMEDCLIP.read(Source(Path("PubMedCLIP.pth"), theirs.state_dict()), Asked())
    assert found.architecture.image_size == size
    assert found.joint is not None
    with torch.device("meta"):
        model = build_backbone(found.architecture)
        towers = Towers(found.joint.config, model.config.width, model.config.patches, found.joint.vocabulary)
    for part, weights in ((model, found.image), (towers, found.joint.weights)):
        assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in part.state_dict().items()}
    assert isinstance(found.architecture, ClipResNetConfig | ViTConfig)
    assert found.architecture.heads == heads
