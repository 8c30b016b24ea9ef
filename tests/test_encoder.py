"""An encoder travels with its transform: saved, loaded, embedded; released MAE files come in by the same door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hilum
from hilum.encoder import Encoder, Pool
from hilum.errors import CheckpointError
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing
from hilum.transforms.text import WordPiece
from tests.models.tower_kinds import MLP_HEADS


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(image_size=32, width=16, depth=2, heads=2, channels=1, registers=2))
    return Encoder(model, Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,)), {"method": "mae", "seed": 0})


def film(height: int = 50, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def test_round_trip_is_bit_exact(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder")
    again = hilum.load(tmp_path / "encoder")
    assert again.preprocessing == encoder.preprocessing
    assert again.model.config == encoder.model.config
    assert again.origin == encoder.origin
    images = encoder.transform(film())[None]
    assert torch.equal(again.embed(images), encoder.embed(images))
    card = (tmp_path / "encoder" / "README.md").read_text()
    for words in ("Not a medical device", "Preprocessing", "Licence", "| method | mae |"):
        assert words in card


@pytest.mark.parametrize(("pool", "width"), [("cls", 16), ("mean", 16), ("cls+mean", 32)])
def test_one_vector_a_film(encoder: Encoder, pool: Pool, width: int) -> None:
    images = torch.stack([encoder.transform(film()), encoder.transform(film(32, 64) / 255.0)])
    assert encoder.embed(images, pool=pool).shape == (2, width)
    assert encoder.tokens(images).shape == (2, 4, 16)
    attention = encoder.attention(images)
    assert attention.shape == (2, 2, 7, 7)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2, 7))


def test_pools_are_what_they_say(encoder: Encoder) -> None:
    images = encoder.transform(film())[None]
    tokens = encoder.model.forward_features(images)
    assert torch.equal(encoder.embed(images, pool="cls"), tokens[:, 0])
    torch.testing.assert_close(encoder.embed(images, pool="mean"), encoder.tokens(images).mean(1))


@pytest.mark.parametrize("name", ["mae_pretrain_encoder_only.pth", "mae_pretrain_full.pth"])
def test_released_files_give_the_official_features(name: str, shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/mae.npz")
    released = hilum.load(shared / "golden/checkpoints" / name, heads=3)
    tokens = released.model.forward_features(torch.from_numpy(golden["in/imgs"]))
    np.testing.assert_allclose(tokens.detach().numpy(), golden["out/tokens_pretrained"], rtol=1e-4, atol=1e-5)
    assert released.preprocessing.mean == (0.485, 0.456, 0.406)
    assert released.origin["sha256"]


def test_what_is_no_encoder_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        hilum.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no encoder"):
        hilum.load(tmp_path)
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    with pytest.raises(CheckpointError, match=r"page\.pth"):
        hilum.load(tmp_path / "page.pth")


@pytest.fixture
def reader(encoder: Encoder) -> Encoder:
    tokenizer = WordPiece.train(["There is a small left effusion.", "No effusion, no mass."], vocab_size=60)
    text = TextConfig(width=12, depth=1, heads=2, hidden=24, positions=16)
    sizes = TowersConfig(text=text, dim=12, position_weight=True, length=16)
    towers = Towers(sizes, 16, encoder.model.config.patches, len(tokenizer), pad_id=tokenizer.pad_id)
    return Encoder(encoder.model, encoder.preprocessing, {"method": "maco"}, towers=towers, tokenizer=tokenizer)


def test_what_reads_travels_with_what_sees(reader: Encoder, tmp_path: Path) -> None:
    reader.save(tmp_path / "encoder")
    again = hilum.load(tmp_path / "encoder")
    assert again.towers is not None
    assert reader.towers is not None
    assert again.towers.config == reader.towers.config
    images = reader.transform(film())[None]
    texts = ["There is a small left effusion.", "No mass."]
    assert torch.equal(again.project(images), reader.project(images))
    assert torch.equal(again.project_tokens(images), reader.project_tokens(images))
    assert torch.equal(again.embed_text(texts), reader.embed_text(texts))
    assert torch.equal(again.embed(images), reader.embed(images))
    prior, kept = reader.position_prior, again.position_prior
    assert prior is not None
    assert kept is not None
    assert torch.equal(prior, kept)
    assert prior.shape == (4,)


def test_the_joint_space_has_the_shapes_it_says(reader: Encoder) -> None:
    images = torch.stack([reader.transform(film()), reader.transform(film(32, 64))])
    assert reader.project(images).shape == (2, 12)
    assert reader.project_tokens(images).shape == (2, 4, 12)
    alone = reader.embed_text(["No mass."])
    together = reader.embed_text(["There is a small left effusion.", "No mass."], batch_size=2)
    torch.testing.assert_close(together[1], alone[0])
    assert reader.embed_text([]).shape == (0, 12)


def test_an_encoder_without_text_says_so(encoder: Encoder) -> None:
    assert encoder.position_prior is None
    with pytest.raises(CheckpointError, match="no text tower"):
        encoder.embed_text(["No mass."])
    with pytest.raises(CheckpointError, match="no text tower"):
        encoder.project(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize("name", ["mrm", "maco", "mgca_vit"])
def test_released_files_bring_their_own_pixels(name: str, shared: Path) -> None:
    file = next((shared / "golden/checkpoints").glob(f"{name}.[pc][tk]*"))
    golden = np.load(shared / f"golden/checkpoints/{name}.npz")
    heads = 4 if name == "mgca_vit" else 3
    released = hilum.load(file, heads=heads)
    mean = 0.5 if name == "mgca_vit" else 0.4978
    assert released.preprocessing.mean == (mean,) * 3
    tokens = released.model.forward_features(torch.from_numpy(golden["in/imgs"]))
    torch.testing.assert_close(tokens.detach(), torch.from_numpy(golden["out/tokens"]), rtol=1e-4, atol=1e-5)


def test_a_released_text_tower_wants_its_tokenizer(shared: Path, tmp_path: Path) -> None:
    file = shared / "golden/checkpoints/maco.pth"
    golden = np.load(shared / "golden/checkpoints/maco.npz")
    words = [f"word{number}" for number in range(56)]
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[MASK]", *words]) + "\n")
    released = hilum.load(file, heads=3, tokenizer=tmp_path / "vocab.txt")
    images = torch.from_numpy(golden["in/imgs"])
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(released.project(images), torch.from_numpy(golden["out/global_embedding"]), **close)
    torch.testing.assert_close(
        released.project_tokens(images), torch.from_numpy(golden["out/patch_embedding"]), **close
    )

    with pytest.raises(CheckpointError, match="no text tower"):
        hilum.load(file, heads=3).embed_text(["word1"])
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[MASK]", "word1"]) + "\n")
    with pytest.raises(CheckpointError, match="60 word pieces and the tokenizer has 5"):
        hilum.load(file, heads=3, tokenizer=tmp_path / "vocab.txt")
    with pytest.raises(CheckpointError, match="no text tower"):
        hilum.load(shared / "golden/checkpoints/mrm.pth", heads=3, tokenizer=tmp_path / "vocab.txt")


def test_a_resnet_is_an_encoder_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = ResNetConfig(image_size=32, enlarged=64, channels=1, stem=8, planes=2, blocks=(1, 1, 1, 1))
    tokenizer = WordPiece.train(["There is a small left effusion."], vocab_size=60)
    text = TextConfig(width=12, depth=1, heads=2, hidden=24, positions=16)
    joint = TowersConfig(text=text, dim=6, hidden=8, **MLP_HEADS, image_pool="cls", text_pool="first", length=16)
    towers = Towers(
        joint, sizes.width, sizes.patches, len(tokenizer), pad_id=tokenizer.pad_id, local_width=sizes.local_width
    )
    record = Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,))
    encoder = Encoder(ResNet(sizes), record, {"method": "medim"}, towers=towers, tokenizer=tokenizer)
    encoder.save(tmp_path / "encoder")
    again = hilum.load(tmp_path / "encoder")
    images = encoder.transform(film())[None]
    assert torch.equal(again.embed(images), encoder.embed(images))
    assert again.embed(images, pool="mean").shape == (1, 16 * 4)
    assert again.project(images).shape == (1, 6)
    assert again.project_tokens(images).shape == (1, 16, 6)
    assert "ResNet" in (tmp_path / "encoder" / "README.md").read_text()
    with pytest.raises(CheckpointError, match="no attention"):
        again.attention(images)
