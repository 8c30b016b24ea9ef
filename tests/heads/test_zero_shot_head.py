"""Zero-shot scores against the released outputs of CheXzero, MaCo and BioViL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hilum.heads.zero_shot import class_vector, pair_probability


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in np.load(path).items()}


def test_chexzero_scores_are_the_released_ones(shared: Path) -> None:
    case = tensors(shared / "golden/grounding/chexzero_softmax.npz")
    sides = [
        torch.stack([class_vector(row[None], "chexzero") for row in case[f"in/text_{side}"]]) for side in ("pos", "neg")
    ]
    torch.testing.assert_close(sides[0].T, case["out/weights_pos"], rtol=1e-4, atol=1e-5)
    found = pair_probability(case["in/image_embedding"], *sides, "chexzero")
    torch.testing.assert_close(found, case["out/prob"], rtol=1e-4, atol=1e-5)
    pairs = zip(case["in/text_pos"], case["in/text_signs"], strict=True)
    two = torch.stack([class_vector(torch.stack(pair), "chexzero") for pair in pairs])
    torch.testing.assert_close(two.T, case["out/weights_two_template_ensemble"], rtol=1e-4, atol=1e-5)
    ensemble = pair_probability(case["in/image_embedding"], two, sides[1], "chexzero")
    torch.testing.assert_close(ensemble, case["out/prob_ensemble_pos"], rtol=1e-4, atol=1e-5)


def test_released_maco_scores_are_raw_products(shared: Path) -> None:
    case = tensors(shared / "golden/maco/zeroshot_head.npz")
    found = pair_probability(case["in/image_embedding"], case["in/pos"], case["in/neg"], "maco-released")
    torch.testing.assert_close(found, case["out/prob"][..., 0], rtol=1e-4, atol=1e-5)
    assert class_vector(torch.tensor([[1.0, 0.0], [5.0, 2.0]]), "maco-released").tolist() == [3.0, 1.0]


def test_biovil_averages_raw_sentences_and_takes_the_cosine(shared: Path) -> None:
    case = tensors(shared / "golden/grounding/biovil_score.npz")
    score = case["in/image"] @ class_vector(case["in/text"], "biovil")
    torch.testing.assert_close(score.double(), case["out/score"], rtol=1e-4, atol=1e-5)


def test_averaging_before_or_after_unit_length_differs() -> None:
    sentences = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    assert torch.allclose(class_vector(sentences, "chexzero"), torch.tensor([0.5, 0.5]).sqrt())
    assert class_vector(sentences, "biovil")[0] > 0.99
