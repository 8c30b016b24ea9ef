"""The light decoder of a masked autoencoder: encoded visible patches in, pixels of hidden patches out.

Keys are those of the official MAE files (decoder_embed, mask_token, decoder_pos_embed, decoder_blocks,
decoder_norm, decoder_pred). The sequence is never put back into grid order: attention does not see order,
only the positions that are added, so [class token, visible, hidden] gives the same numbers without two
gathers of the whole sequence, the hidden patches are one slice, and in the last block only they need
queries and an MLP.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.models.blocks import Block
from hilum.models.initialise import initialise
from hilum.models.onednn import Linear
from hilum.models.positions import sincos_table


class MaskedDecoder(nn.Module):
    """Decoder with fixed sine-cosine positions and a learned mask token.

    Args:
        encoder_width: features of the encoder's tokens.
        grid: (rows, columns) of patches.
        width: features inside the decoder, a multiple of 4 and of `heads`.
        depth: blocks.
        heads: attention heads.
        outputs: predicted values a patch.
        mlp_ratio: hidden width of the MLP / width.
        norm_eps: epsilon of every LayerNorm.
    """

    def __init__(
        self,
        encoder_width: int,
        grid: tuple[int, int],
        *,
        width: int,
        depth: int,
        heads: int,
        outputs: int,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.decoder_embed = Linear(encoder_width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(sincos_table(width, grid, class_token=True).float(), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=mlp_ratio, norm_eps=norm_eps) for _ in range(depth)
        )
        self.decoder_norm = nn.LayerNorm(width, eps=norm_eps)
        self.decoder_pred = Linear(width, outputs)
        initialise(self, "xavier")

    def forward(self, latent: Tensor, order: Tensor) -> Tensor:
        """Predict the hidden patches.

        Args:
            latent: (B, 1 + V, encoder width): class token and visible patches, as `order[:, :V]`.
            order: (B, L) int64 patch numbers, visible ones first.

        Returns:
            (B, L - V, outputs), in the order of `order[:, V:]`.
        """
        *first, last = self.decoder_blocks
        x = self._sequence(latent, order)
        for block in first:
            x = block(x)
        predicted: Tensor = self.decoder_pred(self.decoder_norm(last(x, latent.shape[1])))
        return predicted

    def predict_all(self, latent: Tensor, order: Tensor) -> Tensor:
        """Predict every patch, visible ones too, in the order of the grid: (B, L, outputs)."""
        x = self._sequence(latent, order)
        for block in self.decoder_blocks:
            x = block(x)
        predicted: Tensor = self.decoder_pred(self.decoder_norm(x[:, 1:]))
        place = order.argsort(dim=1)[..., None].expand_as(predicted)
        return predicted.gather(1, place)

    def _sequence(self, latent: Tensor, order: Tensor) -> Tensor:
        """[class token, visible, mask tokens] with their positions: (B, 1 + L, width)."""
        embedded = self.decoder_embed(latent)
        known = embedded.shape[1]
        table = self.decoder_pos_embed[0].to(embedded.dtype)
        positions = table[1:][order]
        visible = embedded[:, 1:] + positions[:, : known - 1]
        hidden = self.mask_token.to(embedded.dtype) + positions[:, known - 1 :]
        return torch.cat([embedded[:, :1] + table[0], visible, hidden], dim=1)
