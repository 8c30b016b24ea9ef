"""Other people's checkpoints to our keys, one layout a file: key maps and nothing else."""

from hilum.models.pretrained.mae import Pretrained, load_backbone, read_mae, sort_mae
from hilum.models.pretrained.mrm import MrmFile, is_mrm, read_mrm, sort_mrm
from hilum.models.pretrained.tensors import read_tensors, stripped

__all__ = [
    "MrmFile",
    "Pretrained",
    "is_mrm",
    "load_backbone",
    "read_mae",
    "read_mrm",
    "read_tensors",
    "sort_mae",
    "sort_mrm",
    "stripped",
]
