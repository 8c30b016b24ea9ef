"""The decoder: hidden patches alone equal the full computation, whatever the order."""

from __future__ import annotations

import torch

from hilum.models.decoder import MaskedDecoder


def _decoder(depth: int) -> MaskedDecoder:
    torch.manual_seed(0)
    decoder = MaskedDecoder(10, (3, 4), width=8, depth=depth, heads=2, outputs=5)
    for name, parameter in decoder.named_parameters():
        if name != "decoder_pos_embed":
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder.double()


def test_hidden_patches_equal_the_full_prediction() -> None:
    for depth in (1, 3):
        decoder = _decoder(depth)
        order = torch.stack([torch.randperm(12) for _ in range(2)])
        latent = torch.randn(2, 1 + 4, 10, dtype=torch.float64)
        hidden = decoder(latent, order)
        everything = decoder.predict_all(latent, order)
        assert hidden.shape == (2, 8, 5)
        assert everything.shape == (2, 12, 5)
        wanted = everything.gather(1, order[:, 4:, None].expand(-1, -1, 5))
        torch.testing.assert_close(hidden, wanted)


def test_the_order_of_visible_patches_does_not_matter() -> None:
    decoder = _decoder(2)
    order = torch.randperm(12)[None]
    latent = torch.randn(1, 5, 10, dtype=torch.float64)
    turned = torch.tensor([2, 0, 3, 1])
    other_order = torch.cat([order[:, :4][:, turned], order[:, 4:]], dim=1)
    other_latent = torch.cat([latent[:, :1], latent[:, 1:][:, turned]], dim=1)
    torch.testing.assert_close(decoder(other_latent, other_order), decoder(latent, order))


def test_official_keys() -> None:
    heads = {key.split(".")[0] for key in _decoder(1).state_dict()}
    assert heads == {
        "decoder_embed", "mask_token", "decoder_pos_embed", "decoder_blocks", "decoder_norm", "decoder_pred",
    }  # fmt: skip
