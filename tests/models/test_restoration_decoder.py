"""The decoder against the official one: training and evaluation outputs, running statistics, one head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.losses.restoration import restoration_error
from hilum.models.restoration_decoder import RestorationDecoder


@pytest.mark.parametrize("case", ["vit", "resnet"])
def test_golden_reconstruction(shared: Path, case: str) -> None:
    golden = np.load(shared / f"golden/medim/forward_{case}.npz")
    prefix = "ckpt/img_decoder_q.model."
    weights = {key.removeprefix(prefix): torch.from_numpy(golden[key]) for key in golden if key.startswith(prefix)}
    features = torch.from_numpy(golden["out/decoder_input_released_seeded"])
    decoder = RestorationDecoder(features.shape[1], (16, 12, 8, 6), 3)
    decoder.load_state_dict(weights)
    halves = features.chunk(2)
    drawn = decoder(halves)
    close = {"rtol": 2e-4, "atol": 2e-5}
    torch.testing.assert_close(torch.cat(drawn), torch.from_numpy(golden["out/reconstruction_train"]), **close)
    films = torch.from_numpy(golden["in/imgs"])
    errors = [restoration_error(part, films) for part in drawn]
    for name, error in zip(("kwm", "sdm"), errors, strict=True):
        torch.testing.assert_close(error, torch.from_numpy(golden[f"out/mse_{name}"]), **close)
    torch.testing.assert_close(5 * errors[0] + 5 * errors[1], torch.from_numpy(golden["out/loss_re"]), **close)
    after = decoder.state_dict()
    for name in ("running_mean", "running_var"):
        want = torch.from_numpy(golden[f"out/{name}_after_decoder_1"])
        torch.testing.assert_close(after[f"decoder_1.1.{name}"], want, **close)
    decoder.load_state_dict(weights)
    decoder.eval()
    torch.testing.assert_close(torch.cat(decoder(halves)), torch.from_numpy(golden["out/reconstruction_eval"]), **close)


def test_one_head_draws_one_film() -> None:
    decoder = RestorationDecoder(8, (6, 4, 4), 1, heads=("word",))
    (drawn,) = decoder([torch.randn(2, 8, 3, 2)])
    assert drawn.shape == (2, 1, 24, 16)
    assert not any("sent" in name for name, _ in decoder.named_parameters())
