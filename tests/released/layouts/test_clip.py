"""CLIP and its kin: official features, transformers' own, whose pixels, what is refused, the real sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.clip_resnet import ClipResNet, ClipResNetConfig
from hilum.models.fill import fill
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts.clip import CHEXZERO, LAYOUT, whose
from hilum.released.pixels import record
from hilum.released.source import Source, open_source
from tests.byte_pairs import byte_pairs_of, write_pair
from tests.released.clip_files import VIT_B_32, openai_file

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def source_of(tensors: dict[str, Tensor], name: str = "chexzero.pt", **more: Any) -> Source:
    return Source(Path(name), tensors, **more)


def built(found: Found) -> tuple[VisionTransformer, Towers]:
    assert isinstance(found.architecture, ViTConfig)
    assert found.joint is not None
    model = VisionTransformer(found.architecture).eval()
    fill(model, found.image, where="file")
    towers = Towers(found.joint.config, model.config.width, model.config.patches, found.joint.vocabulary).eval()
    fill(towers, found.joint.weights, where="file")
    return model, towers


@torch.no_grad()
def test_the_golden_chexzero_has_its_official_features(shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/chexzero.npz")
    found = CHEXZERO.read(open_source(shared / "golden/checkpoints/chexzero.pt"), Asked(text_heads=2))
    assert found.dropped == ()
    model, towers = built(found)
    image = towers.image_global(model.forward_features(torch.from_numpy(golden["in/imgs"])))
    ids = torch.from_numpy(golden["in/tokens"])
    text = towers.text_global(towers.text(ids, torch.ones_like(ids)))
    torch.testing.assert_close(image, torch.from_numpy(golden["out/image"]), **CLOSE)
    torch.testing.assert_close(text, torch.from_numpy(golden["out/text"]), **CLOSE)
    assert towers.config.logit_scale is not None
    logits = towers.config.logit_scale * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
    torch.testing.assert_close(logits, torch.from_numpy(golden["out/logits_per_image"]), **CLOSE)


@torch.no_grad()
def test_through_the_door_and_back(tmp_path: Path) -> None:
    file = tmp_path / "best_64_5e-05_original_22000_0.864.pt"
    torch.save(openai_file(), file)
    (tmp_path / "words").mkdir()
    words = byte_pairs_of(tmp_path / "words")
    encoder = hilum.load(file, tokenizer=tmp_path / "words")
    assert encoder.origin["layout"] == "chexzero"
    assert encoder.preprocessing == record("chexzero", size=64)
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    films, texts = torch.randn(2, 3, 64, 64), ["No effusion", "the lung is clear " * 9]
    for one in (encoder, again):
        assert one.towers is not None
        assert one.tokenizer == words
        torch.testing.assert_close(one.embed(films), one.model.forward_features(films)[:, 0])
        torch.testing.assert_close(one.project(films), one.embed(films) @ openai_file()["visual.proj"])
        torch.testing.assert_close(one.project_tokens(films), one.tokens(films) @ openai_file()["visual.proj"])
    assert torch.equal(encoder.embed_text(texts), again.embed_text(texts))
    ids = torch.from_numpy(np.stack([words.encode(text.lower(), 24).ids for text in texts]))
    assert again.towers is not None
    whole = again.towers.text_global(again.towers.text(ids, torch.ones_like(ids)))
    torch.testing.assert_close(again.embed_text(texts), whole, **CLOSE)


def test_pixels_are_bound_by_name_or_by_word_and_never_by_guess(tmp_path: Path) -> None:
    names = {
        "best_64_0.0001_original_35000_0.864.pt": "chexzero",
        "CheXzero_best.pt": "chexzero",
        "PubMedCLIP_ViT32.pth": "pubmedclip",
        "pubmed-clip-vit.pt": "pubmedclip",
        "ViT-B-32.pt": "clip",
        "best_model.pt": None,
        "clip_finetuned.pt": None,
    }
    tensors = openai_file()
    for name, layout in names.items():
        assert whose(source_of(tensors, name)) == layout, name
    assert whose(source_of({**tensors, "input_resolution": torch.tensor(64)}, "any.pt")) == "clip"
    assert whose(source_of(tensors, "folder", weights=(Path("chexzero.bin"),))) == "chexzero"
    file = tmp_path / "best_model.pt"
    torch.save(tensors, file)
    with pytest.raises(CheckpointError, match="chexzero, pubmedclip or clip"):
        hilum.load(file)
    for layout in ("chexzero", "pubmedclip", "clip"):
        encoder = hilum.load(file, layout=layout)
        assert encoder.preprocessing == record(layout, size=64)
        assert encoder.origin["layout"] == layout
        assert any(f"pixels of {layout}" in note for note in encoder.origin["notes"])
    named = tmp_path / "chexzero.pt"
    torch.save(tensors, named)
    assert hilum.load(named, layout="clip").preprocessing == record("clip", size=64)  # a word counts more than a name


def test_openais_archive_numbers_and_modules_are_dropped_with_a_reason() -> None:
    tensors = {f"module.{key}": value for key, value in openai_file().items()}
    extra = {"module.input_resolution": torch.tensor(64), "module.vocab_size": torch.tensor(532)}
    found = LAYOUT.read(source_of({**tensors, **extra}, "x.pt"), Asked())
    assert {key for key, _ in found.dropped} == set(extra)
    built(found)


def test_the_image_side_alone_is_an_encoder() -> None:
    tensors = {key: value for key, value in openai_file().items() if key.startswith("visual.")}
    found = CHEXZERO.read(source_of(tensors), Asked())
    assert found.joint is None
    assert [key for key, _ in found.dropped] == ["visual.proj"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.transformer.resblocks.0.": None}, "lacks block 0 of 2"),
        ({"transformer.resblocks.0.": None}, "lacks blocks.0.fc1.weight"),
        ({"text_projection": None}, "has no tensor text_projection"),
        ({"visual.proj": None}, "no projection of films"),
        ({"visual.transformer.resblocks.1.ln_2.weight": None}, "blocks.1.norm2.weight is missing"),
        ({"ln_final.weight": "ln_last.weight"}, "norm.weight is missing"),
        ({"visual.ln_post.weight": "visual.ln_end.weight"}, "norm.bias|ln_end"),
        ({"visual.class_embedding": torch.zeros(3)}, r"cls_token is \(1, 1, 3\)"),
    ],
)
def test_parts_that_are_not_there_are_missed(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    tensors = openai_file()
    for key, value in change.items():
        for name in [name for name in tensors if name.startswith(key)]:
            held = tensors.pop(name)
            if value is not None:
                tensors[value if isinstance(value, str) else name] = value if isinstance(value, Tensor) else held
    torch.save(tensors, tmp_path / "chexzero.pt")
    byte_pairs_of(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        hilum.load(tmp_path / "chexzero.pt", tokenizer=tmp_path)


def huggingface_folder(folder: Path, words: Any) -> Any:
    """A tiny CLIPModel of transformers, saved with a tokenizer and CLIP's own processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    shared = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {"vocab_size": len(words), "max_position_embeddings": 20, "bos_token_id": words.start_id}
    config = CLIPConfig(
        text_config={**shared, **text, "eos_token_id": words.end_id, "hidden_act": "gelu"},
        vision_config={**shared, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    torch.manual_seed(0)
    model: Any = CLIPModel(config)
    model.eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim:
                value.normal_(std=0.2)
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    write_pair(folder, words)
    return model


@torch.no_grad()
def test_a_folder_of_transformers_has_its_features(tmp_path: Path) -> None:
    words = byte_pairs_of(tmp_path)
    folder = tmp_path / "clip"
    folder.mkdir()
    theirs = huggingface_folder(folder, words)
    encoder = hilum.load(folder)
    assert encoder.origin["layout"] == "clip"
    assert encoder.preprocessing.size == 32
    assert encoder.preprocessing.mean == record("clip").mean
    assert encoder.towers is not None
    films = torch.randn(2, 3, 32, 32)
    read = [words.encode(text, 20) for text in ("no effusion", "the lungs are clear")]
    ids = torch.from_numpy(np.stack([one.ids for one in read]))
    wanted = theirs(input_ids=ids, pixel_values=films)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(F.normalize(encoder.project(films), dim=1), wanted.image_embeds, **close)
    texts = encoder.embed_text(["No effusion", "The LUNGS are clear"])
    torch.testing.assert_close(F.normalize(texts, dim=1), wanted.text_embeds, **close)
    whole = wanted.vision_model_output.last_hidden_state
    norm = (theirs.vision_model.post_layernorm)(whole)
    torch.testing.assert_close(encoder.model.forward_features(films), norm, **close)


def test_a_vision_model_of_transformers_is_read_without_texts(tmp_path: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    shared: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48}
    shared |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    theirs: Any = CLIPVisionModel(CLIPVisionConfig(**shared, image_size=32, patch_size=8))
    theirs.eval()
    theirs.save_pretrained(tmp_path)
    encoder = hilum.load(tmp_path)
    films = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = theirs(films).pooler_output
    torch.testing.assert_close(encoder.embed(films), wanted, rtol=1e-4, atol=1e-4)
    assert encoder.towers is None


@torch.no_grad()
def test_a_resnet_projects_by_its_attention(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ClipResNet(ClipResNetConfig(image_size=64, planes=8, blocks=(1, 1, 2, 1), heads=4, output=32)).eval()
    tensors = {key: value for key, value in openai_file().items() if not key.startswith("visual.")}
    tensors |= {f"visual.{key}": value for key, value in network.state_dict().items()}
    tensors["visual.bn1.num_batches_tracked"] = torch.tensor(7)
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "PubMedCLIP_RN50.pth")
    byte_pairs_of(tmp_path)
    encoder = hilum.load(tmp_path / "PubMedCLIP_RN50.pth", tokenizer=tmp_path)
    assert encoder.model.config == network.config
    assert encoder.preprocessing == record("pubmedclip", size=64)
    assert any("num_batches_tracked" in note for note in encoder.origin["notes"])
    films = torch.randn(2, 3, 64, 64)
    tokens = network.forward_features(films)
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    for one in (encoder, again):
        torch.testing.assert_close(one.project(films), tokens[:, 0])
        torch.testing.assert_close(one.project_tokens(films), tokens[:, 1:])  # cells lie in the joint space too
        assert one.embed_text(["no effusion"]).shape == (1, 32)


def test_the_real_size_can_be_built() -> None:
    found = CHEXZERO.read(source_of(openai_file(VIT_B_32)), Asked())
    assert isinstance(found.architecture, ViTConfig)
    assert found.joint is not None
    sizes = found.architecture
    assert (sizes.width, sizes.depth, sizes.heads, sizes.patch_size, sizes.image_size) == (768, 12, 12, 32, 224)
    with torch.device("meta"):
        model = VisionTransformer(sizes)
        towers = Towers(found.joint.config, sizes.width, sizes.patches, found.joint.vocabulary)
    for part, weights in ((model, found.image), (towers, found.joint.weights)):
        assert {key: value.shape for key, value in weights.items()} == {
            key: value.shape for key, value in part.state_dict().items()
        }
    count = sum(value.numel() for part in (model, towers) for value in part.parameters())
    assert count + 1 == 151_277_313  # with the temperature: what ViT-B/32 is known to have
    assert sum(value.numel() for value in model.parameters()) == 87_456_000
