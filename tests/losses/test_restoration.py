"""The restoration error: by hand, over all pixels and over hidden cells, in both directions of extreme."""

from __future__ import annotations

import torch

from hilum.losses.restoration import restoration_error


def test_all_pixels_by_hand_with_gradient() -> None:
    torch.manual_seed(0)
    drawn = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    films = torch.rand(2, 1, 4, 4, dtype=torch.float64) * 2 - 1
    restoration_error(drawn, films).backward()
    want = torch.zeros_like(films)
    error = 0.0
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(4)).tolist():
        b, y, x = index
        value = torch.tanh(drawn[b, 0, y, x]).item()
        difference = value - films[b, 0, y, x].item()
        error += difference**2 / 32
        want[b, 0, y, x] = 2 * difference * (1 - value**2) / 32
    torch.testing.assert_close(restoration_error(drawn, films).item(), error)
    torch.testing.assert_close(drawn.grad, want)


def test_only_hidden_cells_count() -> None:
    torch.manual_seed(0)
    drawn, films = torch.randn(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    hidden = torch.zeros(2, 2, 2, dtype=torch.bool)
    hidden[0, 0, 1] = hidden[1, 1, 0] = True
    want = ((drawn.tanh() - films) ** 2)[0, :, :4, 4:].mean() / 2 + ((drawn.tanh() - films) ** 2)[
        1, :, 4:, :4
    ].mean() / 2
    torch.testing.assert_close(restoration_error(drawn, films, hidden), want)
    assert restoration_error(drawn, films, torch.zeros_like(hidden)) == 0
    everything = torch.ones_like(hidden)
    torch.testing.assert_close(restoration_error(drawn, films, everything), restoration_error(drawn, films))
