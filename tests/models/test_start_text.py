"""A report encoder starts from a BERT folder: the same features, first layers, fewer positions, and clear refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from hilum.errors import CheckpointError
from hilum.models.start_text import start_report_encoder
from hilum.models.text import ReportEncoder, TextConfig

SIZES = TextConfig(width=12, depth=2, heads=3, hidden=20, positions=16)
IDS = torch.tensor([[2, 5, 7, 9, 0], [2, 8, 0, 0, 0]])
MASK = (IDS > 0).long()


def bert(folder: Path, kind: type = BertModel, *, positions: int = 16) -> BertModel | BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=positions,
    )
    model = kind(config).eval()
    model.save_pretrained(folder)
    return model


def test_the_same_features_as_the_folder(tmp_path: Path) -> None:
    theirs, ours = bert(tmp_path, positions=40), ReportEncoder(SIZES, 30, pooler=True).eval()
    notes = start_report_encoder(ours, tmp_path)
    assert any("first 16 of its 40 positions" in note for note in notes)
    got, wanted = ours(IDS, MASK), theirs(IDS, attention_mask=MASK)
    torch.testing.assert_close(got.tokens, wanted.last_hidden_state)
    torch.testing.assert_close(got.pooled, wanted.pooler_output)


def test_the_first_layers_alone(tmp_path: Path) -> None:
    theirs, ours = bert(tmp_path), ReportEncoder(replace(SIZES, depth=1), 30).eval()
    notes = start_report_encoder(ours, tmp_path)
    assert any("left behind: the method does not use it" in note for note in notes)
    states = theirs(IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    torch.testing.assert_close(ours(IDS, MASK).tokens, states[1])


def test_a_folder_without_pooled_vector_leaves_it_random(tmp_path: Path) -> None:
    bert(tmp_path, BertForMaskedLM)
    ours = ReportEncoder(SIZES, 30, pooler=True)
    before = ours.bert.pooler.dense.weight.clone()
    assert any("the folder has none" in note for note in start_report_encoder(ours, tmp_path))
    torch.testing.assert_close(ours.bert.pooler.dense.weight, before)


def test_fixed_positions_stay(tmp_path: Path) -> None:
    bert(tmp_path)
    ours = ReportEncoder(replace(SIZES, position="sincos"), 30, pooler=True)
    before = ours.bert.embeddings.position_embeddings.weight.clone()
    assert any("stay fixed" in note for note in start_report_encoder(ours, tmp_path))
    torch.testing.assert_close(ours.bert.embeddings.position_embeddings.weight, before)


@pytest.mark.parametrize(
    ("config", "vocabulary", "message"),
    [
        (SIZES, 31, "knows 30 word pieces and the tokenizer has 31"),
        (replace(SIZES, heads=2), 30, "has 3 attention heads and the report encoder 2"),
        (replace(SIZES, depth=3), 30, "has 2 layers, 3 are asked for"),
        (replace(SIZES, hidden=24), 30, "another architecture"),
    ],
)
def test_other_sizes_are_refused_and_nothing_changes(
    tmp_path: Path, config: TextConfig, vocabulary: int, message: str
) -> None:
    bert(tmp_path)
    ours = ReportEncoder(config, vocabulary, pooler=True)
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        start_report_encoder(ours, tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
