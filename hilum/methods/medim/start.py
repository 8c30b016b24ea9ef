"""Where the image side of MedIM starts: MGCA, MedIM, a supervised ViT or ResNet, or a masked autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hilum.models.fill import check_fit, fill
from hilum.models.pretrained.mae import sort_mae
from hilum.models.pretrained.medim import COUNTER, is_mgca, sort_mgca, sort_resnet
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.resnet import ResNet
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer

IMAGE_HEADS: Final = ("image_head", "image_local_head")


def start_image_side(
    backbone: VisionTransformer | ResNet, towers: Towers, path: str | Path, *, heads: int | None = None
) -> tuple[str, ...]:
    """Fill a backbone, and its projections where the file has them.

    Args:
        backbone: a ViT (from MGCA, MedIM, or any file with timm's or MAE's names) or a ResNet (MGCA, torchvision).
        towers: whose image projections are filled from files of MGCA and MedIM.
        path: .ckpt, .pth or .safetensors.
        heads: attention heads of the file's ViT; the backbone's where omitted.

    Returns:
        What was used and what was not, one line each.

    Raises:
        CheckpointError: damaged, or of another architecture; nothing has changed then.
    """
    tensors = read_tensors(path)
    file = sort_mgca(tensors, where=path) if is_mgca(tensors) else None
    weights = tensors if file is None else file.image
    notes: list[str]
    if isinstance(backbone, ResNet):
        kept, notes = sort_resnet(weights)
    else:
        found = sort_mae(weights, heads=heads or backbone.config.heads, where=path)
        kept, notes = found.backbone_for(backbone.config), list(found.report())
    check_fit(backbone, kept, where=path)
    projections = {name: file.heads[name] for name in IMAGE_HEADS if file is not None and name in file.heads}
    for name, projection in projections.items():
        check_fit(towers.get_submodule(name), projection, where=path)
    fill(backbone, kept, where=path)
    for name, projection in projections.items():
        fill(towers.get_submodule(name), projection, where=path)
        notes.append(f"{name} starts from the file")
    if file is not None:
        unused = {"decoder": bool(file.decoder), "prototypes": file.prototypes is not None, "text": bool(file.text)}
        notes += [f"left behind: its {name}" for name, there in unused.items() if there]
        notes += [f"dropped {key}: {why}" for key, why in file.dropped if not key.endswith(COUNTER)]
    return tuple(notes)
