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
from hilum.models.mlp import MLP_KINDS, MlpKind
from hilum.models.patches import PatchEmbed, grid_of
from hilum.models.positions import RESIZE_RULES, ResizeRule, resize_table, sincos_table
from hilum.models.rotary import ROTARY_KINDS, RotaryKind, Rotation, rotation


@dataclass(frozen=True)
class ViTConfig:
    """Architecture of one Vision Transformer; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side at which the position table is stored
    patch_size: int = 16  # pixels a side of a patch
    patch_stride: int | None = None  # pixels from patch to patch; less than patch_size lets patches overlap
    patch_bias: bool = True  # CLIP has none
    channels: int = 3  # input channels
    width: int = 768  # D, features of a token
    depth: int = 12  # number of blocks
    heads: int = 12  # attention heads; width must divide by it
    mlp: MlpKind = "gelu"  # see mlp.py
    mlp_ratio: float = 4.0  # hidden width of the MLP / width
    mlp_norm: bool = False  # LayerNorm before the MLP's last layer (sub-LN of EVA-02)
    attention_norm: bool = False  # LayerNorm before the attention's last layer (the same)
    qkv_bias: bool = True
    key_bias: bool = True  # False: of the three, queries and values alone have a bias (EVA, DINOv3)
    norm_eps: float = 1e-6  # epsilon of every LayerNorm
    position: Literal["learned", "sincos", "none"] = "learned"  # sincos is fixed: it takes no gradient
    position_resize: ResizeRule = "bicubic"  # how the table meets other image sizes; see positions.py
    rotary: RotaryKind | None = None  # queries and keys of patches turned by their place; see rotary.py
    rotary_base: float | None = None  # of its frequencies; the kind's own where omitted
    rotary_grid: int | None = None  # "eva": patches a side whose coordinates other grids are brought to
    class_token: bool = True
    registers: int = 0  # extra tokens without position, after the class token
    layer_scale: float | None = None  # initial value of LayerScale; None leaves it out
    drop_path: float = 0.0  # stochastic depth of the last block; grows linearly from 0 at the first
    drop_path_uniform: bool = False  # the same in every block instead (DINOv2)
    drop_path_skip: bool = False  # dropped samples are not computed (DINOv2), a fixed number of them a batch
    mask_token: bool = False  # a learned vector in place of masked patches; of use in pretraining only
    pre_norm: bool = False  # LayerNorm before the first block (CLIP)
    final_norm: bool = True  # LayerNorm after the last block (absent in MAE's fine-tuned files)
    pool_norm: bool = False  # LayerNorm of the mean of the patch tokens, where that is read (EVA-X, MAE fine-tuned)
    init: InitScheme = "xavier"  # where random weights start; see initialise.py

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.patch_size, self.width, self.depth, self.heads, self.channels)
        if min(sizes) < 1:
            raise ConfigError(f"image, patch, width, depth, heads, channels are {sizes}: not positive", where="ViT")
        patch, stride = self.patch_size, self.stride
        room = self.image_size - patch
        tiles = f"a multiple of {stride}" if stride == patch else f"{patch} + a multiple of {stride}"
        turned = self.rotary is None
        checks = (
            (1 <= stride <= patch, "patch_stride", f"in 1..{patch}"),
            (room >= 0 and room % max(stride, 1) == 0, "image_size", tiles),
            (self.width % self.heads == 0, "width", f"a multiple of heads {self.heads}"),
            (self.position != "sincos" or self.width % 4 == 0, "width", "a multiple of 4 (sincos)"),
            (turned or self.width % (4 * self.heads) == 0, "width", f"a multiple of 4 x heads {self.heads} (rotary)"),
            (self.position_resize in RESIZE_RULES, "position_resize", f"one of {', '.join(RESIZE_RULES)}"),
            (self.position in ("learned", "sincos", "none"), "position", "learned, sincos or none"),
            (turned or self.rotary in ROTARY_KINDS, "rotary", f"one of {', '.join(ROTARY_KINDS)}, or left out"),
            (self.rotary_base is None or self.rotary_base > 1, "rotary_base", "above 1"),
            (self.rotary_grid is None or self.rotary_grid > 0, "rotary_grid", "1 or more"),
            (self.rotary_grid is None or self.rotary == "eva", "rotary_grid", 'left out without rotary "eva"'),
            (self.mlp in MLP_KINDS, "mlp", f"one of {', '.join(MLP_KINDS)}"),
            (0 <= self.drop_path < 1, "drop_path", "in [0, 1)"),
        )
        for holds, field, rule in checks:
            if not holds:
                raise ConfigError(f"{field} is {getattr(self, field)!r} and must be {rule}", where="ViT")

    @property
    def stride(self) -> int:
        """Pixels from one patch to the next."""
        return self.patch_size if self.patch_stride is None else self.patch_stride

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches at `image_size`."""
        side = (self.image_size - self.patch_size) // self.stride + 1
        return side, side

    @property
    def patches(self) -> int:
        """Number of patches at `image_size`."""
        return self.grid[0] * self.grid[1]

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """(rows, columns) of patches in images (B, C, H, W).

        Raises:
            ConfigError: patches do not tile a side.
        """
        return grid_of(images, self.patch_size, self.stride)


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
        self.pos_embed = _position_table(config)
        self.patch_embed = PatchEmbed(
            config.patch_size, config.channels, width, stride=config.patch_stride, bias=config.patch_bias
        )
        self.norm_pre = nn.LayerNorm(width, eps=config.norm_eps) if config.pre_norm else None
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.heads,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=config.qkv_bias,
                key_bias=config.key_bias,
                norm_eps=config.norm_eps,
                mlp=config.mlp,
                mlp_norm=config.mlp_norm,
                attention_norm=config.attention_norm,
                layer_scale=config.layer_scale,
                drop_path=config.drop_path * (1.0 if config.drop_path_uniform else index / max(config.depth - 1, 1)),
                drop_path_skip=config.drop_path_skip,
            )
            for index in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=config.norm_eps) if config.final_norm else None
        self.fc_norm = nn.LayerNorm(width, eps=config.norm_eps) if config.pool_norm else None
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
        return self._final(self._encode(self._embed(images, masks=masks), self._rotation(images))[-1])

    def forward_masked(self, images: Tensor, keep: Tensor) -> Tensor:
        """Encode visible patches only; the others are neither embedded nor seen.

        Args:
            images: (B, C, H, W) normalised.
            keep: (B, V) int64 numbers of the visible patches, in the order wanted.

        Returns:
            (B, 1 + R + V, D) after the final norm.
        """
        return self._final(self._encode(self._embed(images, keep), self._rotation(images, keep))[-1])

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
        taps = self._encode(self._embed(images), self._rotation(images), taps=n)
        return [self._final(tap) for tap in taps] if norm else taps

    def pooled_mean(self, tokens: Tensor) -> Tensor:
        """The mean of the patch tokens as its authors read it, normalised where the network has a norm for it.

        Args:
            tokens: (B, 1 + R + P, D) of `forward_features`.

        Returns:
            (B, D).
        """
        mean = tokens[:, self.num_prefix_tokens :].mean(dim=1)
        return mean if self.fc_norm is None else self.fc_norm(mean)

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

        def look(part: nn.Module, given: tuple[Any, ...]) -> None:
            x, _, turned = given
            seen.append(cast(Attention, part).first_weights(x, turned))

        # read inside the block: only there are weights whole that are sharded over devices
        hook = attention.register_forward_pre_hook(look)
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
        x, turned = self._embed(images), self._rotation(images)
        index = block % depth
        for part in self.blocks[:index]:
            x = part(x, 0, turned)
        chosen = cast(Block, self.blocks[index])
        return chosen.attn.weights(chosen.norm1(x), turned)

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
            x, _, turned = given
            out, weights = cast(Attention, part).forward_with_weights(x, turned)
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
        patches = self.patch_embed(images, keep)
        if masks is not None:
            assert self.mask_token is not None, "this ViT has no mask token"
            patches = torch.where(masks[..., None], self.mask_token.to(patches.dtype), patches)
        first: Tensor | None = self.cls_token
        if self.pos_embed is not None:
            config = self.config
            prefix = int(config.class_token)
            grid = config.grid_of(images)
            positions = resize_table(self.pos_embed, config.grid, grid, prefix=prefix, rule=config.position_resize)
            of_patches = positions[:, prefix:]
            patches = patches + (of_patches if keep is None else of_patches[0][keep])
            first = None if first is None else first + positions[:, :1]
        tokens = [part.expand(images.shape[0], -1, -1) for part in (first, self.reg_token) if part is not None]
        x = torch.cat([*(token.to(patches.dtype) for token in tokens), patches], dim=1)
        return x if self.norm_pre is None else self.norm_pre(x)

    def _rotation(self, images: Tensor, keep: Tensor | None = None) -> Rotation | None:
        """How queries and keys of prefix tokens and (visible) patches are turned."""
        config = self.config
        if config.rotary is None:
            return None
        return rotation(
            config.rotary,
            config.width // config.heads,
            config.grid_of(images),
            prefix=self.num_prefix_tokens,
            keep=keep,
            base=config.rotary_base,
            reference=config.rotary_grid,
            device=images.device,
        )

    def _encode(self, x: Tensor, turned: Rotation | None, taps: int = 1) -> list[Tensor]:
        """Run the blocks; the outputs of the last `taps` of them."""
        kept: list[Tensor] = []
        first_kept = len(self.blocks) - taps
        for index, block in enumerate(self.blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, 0, turned, use_reentrant=False)
            else:
                x = block(x, 0, turned)
            if index >= first_kept:
                kept.append(x)
        return kept

    def _final(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)


def _position_table(config: ViTConfig) -> nn.Parameter | None:
    """The table (1, [1 +] P, D) that is added to the tokens, fixed, to be learned, or none."""
    if config.position == "none":
        return None
    if config.position == "sincos":
        table = sincos_table(config.width, config.grid, class_token=config.class_token).float()
        return nn.Parameter(table, requires_grad=False)
    return nn.Parameter(torch.zeros(1, int(config.class_token) + config.patches, config.width))
