"""Files of MGCA and MedIM: the official features from a stand-in, every tensor placed or named, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mae import sort_mae
from hilum.models.pretrained.medim import is_mgca, read_mgca, sort_mgca, sort_resnet
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer
from tests.models.tower_kinds import MLP_HEADS


def close(got: Tensor, want: np.ndarray) -> None:
    torch.testing.assert_close(got, torch.from_numpy(want), rtol=1e-4, atol=1e-5)


def test_golden_features_and_embeddings(shared: Path) -> None:
    folder = shared / "golden/checkpoints"
    golden = np.load(folder / "mgca_vit.npz")
    file = read_mgca(folder / "mgca_vit.ckpt")
    image = sort_mae(file.image, heads=4, where="mgca_vit.ckpt")
    backbone = VisionTransformer(image.config).eval()
    backbone.load_state_dict(image.backbone)
    text = TextConfig(width=8, depth=1, heads=1, hidden=8, positions=8)
    config = TowersConfig(text=text, dim=16, hidden=40, **MLP_HEADS, image_pool="cls", text_pool="first")
    towers = Towers(config, 32, 9, 10).eval()
    for name in ("image_head", "image_local_head"):
        towers.get_submodule(name).load_state_dict(file.heads[name])
    with torch.no_grad():
        tokens, seen = backbone.forward_with_attention(torch.from_numpy(golden["in/imgs"]))
        close(tokens, golden["out/tokens"])
        close(tokens[:, 0], golden["out/cls"])
        close(seen[:, :, 1:], golden["out/cls_attention"])
        close(F.normalize(towers.image_global(tokens), dim=1), golden["out/image_embedding"])
        close(F.normalize(towers.image_local(tokens[:, 1:]), dim=2), golden["out/patch_embedding"])
    assert file.prototypes is not None
    assert file.prototypes.shape == (6, 16)
    assert all("num_batches_tracked" in key for key, _ in file.dropped)


def test_every_tensor_is_placed_or_named() -> None:
    one = torch.ones(2, 3)
    tensors = {
        "img_encoder_q.model.cls_token": one,
        "img_encoder_q.global_embed.head.0.weight": one,
        "text_encoder_q.local_embed.head.3.weight": one[..., None],
        "text_encoder_q.local_embed.head.4.num_batches_tracked": torch.tensor(3),
        "text_encoder_q.model.encoder.layer.0.output.dense.weight": one,
        "text_encoder_q.model.encoder.layer.0.crossattention.self.query.weight": one,
        "text_encoder_q.model.embeddings.position_ids": torch.arange(3),
        "img_decoder_q.model.decoder_1.0.weight": one,
        "prototype_layer.weight": one,
        "patch_local_atten_layer.in_proj_weight": one,
    }
    assert is_mgca(tensors)
    file = sort_mgca(tensors, where="x.ckpt")
    assert set(file.image) == {"cls_token"}
    assert set(file.text) == {"bert.encoder.layer.0.output.dense.weight"}
    assert set(file.decoder) == {"decoder_1.0.weight"}
    assert {name: set(head) for name, head in file.heads.items()} == {
        "image_head": {"0.weight"},
        "text_local_head": {"3.weight"},
    }
    assert file.heads["text_local_head"]["3.weight"].shape == (2, 3)
    placed = len(file.image) + len(file.text) + len(file.decoder) + sum(map(len, file.heads.values())) + 1
    assert placed + len(file.dropped) == len(tensors)


def test_other_files_are_refused() -> None:
    with pytest.raises(CheckpointError, match="img_encoder_q"):
        sort_mgca({"cls_token": torch.zeros(1)}, where="x.pth")


def test_a_resnet_of_torchvision() -> None:
    config = ResNetConfig(image_size=32, enlarged=32, stem=4, planes=2, blocks=(1, 1, 1, 1))
    model = ResNet(config)
    theirs = {f"module.{key}": value for key, value in model.state_dict().items()}
    theirs |= {"module.bn1.num_batches_tracked": torch.tensor(5), "module.fc.weight": torch.zeros(3)}
    kept, notes = sort_resnet(theirs)
    assert kept.keys() == model.state_dict().keys()
    assert notes[1:] == ["dropped module.fc.weight: no part of a ResNet"]
