"""Other people's checkpoints to our keys, one layout a file: key maps and nothing else."""

from hilum.models.pretrained.mae import Pretrained, load_backbone, read_mae

__all__ = ["Pretrained", "load_backbone", "read_mae"]
