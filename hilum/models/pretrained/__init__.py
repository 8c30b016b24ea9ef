"""Other people's checkpoints to our keys, one layout a file: key maps and nothing else."""

from hilum.models.pretrained.mae import Pretrained, load_backbone, read_mae, sort_mae
from hilum.models.pretrained.tensors import read_tensors, stripped

__all__ = ["Pretrained", "load_backbone", "read_mae", "read_tensors", "sort_mae", "stripped"]
