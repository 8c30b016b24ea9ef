"""Released MRM layouts: golden features, every tensor accounted for, tied and untied, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.pretrained import is_mrm, read_mrm, read_tensors, sort_mrm
from hilum.models.vit import VisionTransformer

FILE = "golden/checkpoints/mrm.pth"
HEAD = "bert_encoder.model.cls.predictions."
WORDS = "bert_encoder.model.bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def tensors(shared: Path) -> dict[str, Tensor]:
    return read_tensors(shared / FILE)


def test_golden_features(shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/mrm.npz")
    file = read_mrm(shared / FILE, heads=3, text_heads=3)
    model = VisionTransformer(file.image.config)
    fill(model, file.image.backbone, where=FILE)
    tokens = model(torch.from_numpy(golden["in/imgs"])).detach().numpy()
    np.testing.assert_allclose(tokens, golden["out/tokens"], rtol=1e-4, atol=1e-5)


def test_every_tensor_is_placed_or_named(tensors: dict[str, Tensor]) -> None:
    file = sort_mrm(tensors, heads=3, text_heads=3, where=FILE)
    parts = (file.image.backbone, file.image.decoder, file.bridge, file.report, file.head)
    dropped = {key for key, _ in (*file.dropped, *file.image.dropped)}
    assert sum(map(len, parts)) + len(dropped) == len(tensors)
    assert (
        dropped
        == {
            "bert_encoder.model.bert.embeddings.position_ids",
            "bert_encoder.model.bert.pooler.dense.weight",
            "bert_encoder.model.bert.pooler.dense.bias",
            HEAD + "decoder.bias",
        }
        & tensors.keys()
    )
    sizes = (file.text.width, file.text.depth, file.text.hidden, file.text.positions, file.vocabulary)
    assert sizes == (24, 1, 48, 100, 60)


def test_tied_and_untied_files(tensors: dict[str, Tensor]) -> None:
    untied = {**tensors, HEAD + "decoder.weight": tensors[WORDS] + 1}
    tied = {**tensors, HEAD + "decoder.weight": tensors[WORDS].clone()}
    for content, wanted in ((untied, False), (tied, True)):
        file = sort_mrm(content, heads=3, text_heads=3, where=FILE)
        assert file.tied == wanted
        assert "decoder.weight" in file.head_for(tied=False)
        assert "decoder.weight" not in file.head_for(tied=True)


def test_prefixes_and_strangers(tensors: dict[str, Tensor]) -> None:
    wrapped = {f"module.{key}": value for key, value in tensors.items()}
    wrapped["module.teacher.weight"] = torch.zeros(2)
    wrapped[f"module.{HEAD}strange"] = torch.zeros(2)
    file = sort_mrm(wrapped, heads=3, text_heads=3, where=FILE)
    said = dict((*file.dropped, *file.image.dropped))
    assert "module.teacher.weight" in said
    assert "no part of a language head" in said[f"module.{HEAD}strange"]


def test_which_files_are_mrm(tensors: dict[str, Tensor], shared: Path) -> None:
    assert is_mrm(tensors)
    assert not is_mrm(read_tensors(shared / "golden/checkpoints/maco.pth"))
    assert not is_mrm(read_tensors(shared / "golden/checkpoints/mae_pretrain_full.pth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({WORDS: None}, "word_embeddings.weight"),
        ({"bert_mlp.weight": None}, "nothing under bert_mlp. gives weight"),
        ({HEAD + "decoder.weight": None}, "gives decoder.weight"),
        ({HEAD + "decoder.bias": torch.ones(60)}, "two biases that differ"),
        ({"patch_embed.proj.weight": None}, "no patch_embed.proj.weight"),
        ({"bert_encoder.model.bert.embeddings.position_embeddings.weight": None}, "no report encoder can be built"),
    ],
)
def test_files_without_a_part_are_refused(
    tensors: dict[str, Tensor], change: dict[str, Tensor | None], message: str
) -> None:
    changed = {key: value for key, value in {**tensors, **change}.items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        sort_mrm(changed, heads=3, text_heads=3, where=FILE)


def test_heads_that_do_not_divide_the_width(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="text width 24 does not divide into 7 heads"):
        sort_mrm(tensors, heads=3, text_heads=7, where=FILE)
