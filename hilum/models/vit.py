"""The one backbone: a Vision Transformer with timm's state-dict names.

Papers: ViT arXiv 2010.11929; registers arXiv 2309.16588; LayerScale arXiv 2103.17239.

Token order is [class token, registers, patches row by row]; the position table covers the class token and
the patches, registers carry none (DINOv2). Sizes other than the trained one work: the table is resized at
run time by the rule stored in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hilum.config import override
from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.models.blocks import Attention, Block
from hilum.models.initialise import InitScheme, initialise
from hilum.models.patches import PatchEmbed, grid_of
from hilum.models.positions import RESIZE_RULES, ResizeRule, resize_table, sincos_table


@dataclass(frozen=True)
class ViTConfig:
    """Architecture of one Vision Transformer; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side at which the position table is stored
    patch_size: int = 16  # pixels a side of a patch
    channels: int = 3  # input channels
    width: int = 768  # D, features of a token
    depth: int = 12  # number of blocks
    heads: int = 12  # attention heads; width must divide by it
    mlp_ratio: float = 4.0  # hidden width of the MLP / width
    qkv_bias: bool = True
    norm_eps: float = 1e-6  # epsilon of every LayerNorm
    position: Literal["learned", "sincos"] = "learned"  # sincos is fixed: it takes no gradient
    position_resize: ResizeRule = "bicubic"  # how the table meets other image sizes; see positions.py
    class_token: bool = True
    registers: int = 0  # extra tokens without position, after the class token
    layer_scale: float | None = None  # initial value of LayerScale; None leaves it out
    mlp: Literal["gelu", "swiglu"] = "gelu"
    drop_path: float = 0.0  # stochastic depth of the last block; grows linearly from 0 at the first
    drop_path_uniform: bool = False  # the same in every block instead (DINOv2)
    drop_path_skip: bool = False  # dropped samples are not computed (DINOv2), a fixed number of them a batch
    mask_token: bool = False  # a learned vector in place of masked patches; of use in pretraining only
    final_norm: bool = True  # LayerNorm after the last block (absent in MAE's fine-tuned files)
    init: InitScheme = "xavier"  # where random weights start; see initialise.py

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.patch_size, self.width, self.depth, self.heads, self.channels)
        if min(sizes) < 1:
            raise ConfigError(f"image, patch, width, depth, heads, channels are {sizes}: not positive", where="ViT")
        checks = (
            (self.image_size % self.patch_size == 0, "image_size", f"a multiple of {self.patch_size}"),
            (self.width % self.heads == 0, "width", f"a multiple of heads {self.heads}"),
            (self.position != "sincos" or self.width % 4 == 0, "width", "a multiple of 4 (sincos)"),
            (self.position_resize in RESIZE_RULES, "position_resize", f"one of {', '.join(RESIZE_RULES)}"),
            (self.position in ("learned", "sincos"), "position", "learned or sincos"),
            (self.mlp in ("gelu", "swiglu"), "mlp", "gelu or swiglu"),
            (0 <= self.drop_path < 1, "drop_path", "in [0, 1)"),
        )
        for holds, field, rule in checks:
            if not holds:
                raise ConfigError(f"{field} is {getattr(self, field)!r} and must be {rule}", where="ViT")

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches at `image_size`."""
        side = self.image_size // self.patch_size
        return side, side

    @property
    def patches(self) -> int:
        """Number of patches at `image_size`."""
        return self.grid[0] * self.grid[1]


# name -> (width, depth, heads, patch size)
VIT_SIZES: Final[dict[str, tuple[int, int, int, int]]] = {
    "vit_tiny_patch16": (192, 12, 3, 16),
    "vit_small_patch16": (384, 12, 6, 16),
    "vit_base_patch16": (768, 12, 12, 16),
    "vit_large_patch16": (1024, 24, 16, 16),
}


def vit_config(name: str, **overrides: Any) -> ViTConfig:
    """The configuration of a named size, with fields replaced.

    Args:
        name: a key of `VIT_SIZES`.
        **overrides: fields of `ViTConfig`.

    Raises:
        ConfigError: unknown name or field.
    """
    if name not in VIT_SIZES:
        raise unknown_name(name, list(VIT_SIZES), kind="model")
    width, depth, heads, patch_size = VIT_SIZES[name]
    return override(ViTConfig(width=width, depth=depth, heads=heads, patch_size=patch_size), overrides, where="ViT")


class VisionTransformer(nn.Module):
    """Films to tokens. `gradient_checkpointing = True` recomputes activations in backward, to save memory."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if config.class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, config.registers, width)) if config.registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, width)) if config.mask_token else None
        self.pos_embed = nn.Parameter(
            sincos_table(width, config.grid, class_token=config.class_token).float()
            if config.position == "sincos"
            else torch.zeros(1, int(config.class_token) + config.patches, width),
            requires_grad=config.position == "learned",
        )
        self.patch_embed = PatchEmbed(config.patch_size, config.channels, width)
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.heads,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=config.qkv_bias,
                norm_eps=config.norm_eps,
                mlp=config.mlp,
                layer_scale=config.layer_scale,
                drop_path=config.drop_path * (1.0 if config.drop_path_uniform else index / max(config.depth - 1, 1)),
                drop_path_skip=config.drop_path_skip,
            )
            for index in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=config.norm_eps) if config.final_norm else None
        initialise(self, config.init)

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens before the patches: class token and registers."""
        return int(self.config.class_token) + self.config.registers

    def forward(self, images: Tensor) -> Tensor:
        """The same as `forward_features`."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """All tokens after the final norm.

        Args:
            images: (B, C, H, W) normalised.
            masks: (B, P) bool; where True the mask token takes the place of the embedded patch, its position stays.

        Returns:
            (B, 1 + R + P, D): class token, registers, patches row by row.
        """
        return self._final(self._encode(self._embed(images, masks=masks))[-1])

    def forward_masked(self, images: Tensor, keep: Tensor) -> Tensor:
        """Encode visible patches only; the others are neither embedded nor seen.

        Args:
            images: (B, C, H, W) normalised.
            keep: (B, V) int64 numbers of the visible patches, in the order wanted.

        Returns:
            (B, 1 + R + V, D) after the final norm.
        """
        return self._final(self._encode(self._embed(images, keep))[-1])

    def forward_intermediates(self, images: Tensor, n: int = 1, *, norm: bool = False) -> list[Tensor]:
        """Tokens after each of the last `n` blocks, first of them first: n tensors (B, 1 + R + P, D).

        Args:
            images: (B, C, H, W) normalised.
            n: how many blocks, 1 to depth.
            norm: apply the final norm to each.
        """
        if not 1 <= n <= self.config.depth:
            what = f"asked for the last {n} blocks of {self.config.depth}"
            raise ConfigError(what, where="forward_intermediates")
        taps = self._encode(self._embed(images), taps=n)
        return [self._final(tap) for tap in taps] if norm else taps

    def forward_with_attention(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All tokens, and what the first of them looks at in the last block, in one pass.

        Args:
            images: (B, C, H, W) normalised.

        Returns:
            (B, 1 + R + P, D) of `forward_features`, and (B, heads, 1 + R + P) attention weights of the class token,
            rows sum to 1, without gradient.
        """
        seen: list[Tensor] = []
        attention = cast(Block, self.blocks[-1]).attn
        # read inside the block: only there are weights whole that are sharded over devices
        hook = attention.register_forward_pre_hook(lambda part, given: seen.append(part.first_weights(given[0])))
        try:
            tokens = self.forward_features(images)
        finally:
            hook.remove()
        return tokens, seen[0]

    def attention(self, images: Tensor, block: int = -1) -> Tensor:
        """Attention weights of one block: (B, C, H, W) -> (B, heads, 1 + R + P, 1 + R + P), rows sum to 1."""
        depth = self.config.depth
        if not -depth <= block < depth:
            raise ConfigError(f"asked for block {block} of {depth}", where="attention")
        x = self._embed(images)
        index = block % depth
        for part in self.blocks[:index]:
            x = part(x)
        chosen = cast(Block, self.blocks[index])
        return chosen.attn.weights(chosen.norm1(x))

    @contextmanager
    def recorded_attention(self, reduce: Callable[[Tensor], Tensor] | None = None) -> Iterator[list[Tensor]]:
        """Passes made inside leave the attention weights of every block, first block first, in the list yielded.

        Inside, attention is computed by its plain formula and its weights are part of the graph, so that a result can
        be differentiated by them. Outside nothing changes.

        Args:
            reduce: what is kept of a block's weights (B, heads, 1 + R + P, 1 + R + P); all where omitted.
        """
        kept: list[Tensor] = []

        def attend(part: nn.Module, given: tuple[Any, ...], fused: Tensor) -> Tensor:
            out, weights = cast(Attention, part).forward_with_weights(given[0])
            kept.append(weights if reduce is None else reduce(weights))
            return out

        hooks = [cast(Block, block).attn.register_forward_hook(attend) for block in self.blocks]
        try:
            yield kept
        finally:
            for hook in hooks:
                hook.remove()

    def _embed(self, images: Tensor, keep: Tensor | None = None, masks: Tensor | None = None) -> Tensor:
        """Prefix tokens and (visible) patches with their positions, as they enter the first block."""
        config = self.config
        prefix = int(config.class_token)
        grid = grid_of(images, config.patch_size)
        positions = resize_table(self.pos_embed, config.grid, grid, prefix=prefix, rule=config.position_resize)
        patches = self.patch_embed(images, keep)
        if masks is not None:
            assert self.mask_token is not None, "this ViT has no mask token"
            patches = torch.where(masks[..., None], self.mask_token.to(patches.dtype), patches)
        of_patches = positions[:, prefix:]
        patches = patches + (of_patches if keep is None else of_patches[0][keep])
        tokens = []
        if self.cls_token is not None:
            tokens.append((self.cls_token + positions[:, :1]).expand(len(images), -1, -1))
        if self.reg_token is not None:
            tokens.append(self.reg_token.expand(len(images), -1, -1))
        return torch.cat([*(token.to(patches.dtype) for token in tokens), patches], dim=1)

    def _encode(self, x: Tensor, taps: int = 1) -> list[Tensor]:
        """Run the blocks; the outputs of the last `taps` of them."""
        kept: list[Tensor] = []
        first_kept = len(self.blocks) - taps
        for index, block in enumerate(self.blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if index >= first_kept:
                kept.append(x)
        return kept

    def _final(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)
