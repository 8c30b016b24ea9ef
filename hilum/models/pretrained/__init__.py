"""Other people's checkpoints to our keys, one layout a file: key maps and nothing else."""

from hilum.models.pretrained.chexfound import ChexfoundFile, is_chexfound, read_chexfound, sort_chexfound
from hilum.models.pretrained.mae import Pretrained, load_backbone, read_mae, sort_mae
from hilum.models.pretrained.mrm import MrmFile, is_mrm, read_mrm, sort_mrm
from hilum.models.pretrained.tensors import read_tensors, stripped

__all__ = [
    "ChexfoundFile",
    "MrmFile",
    "Pretrained",
    "is_chexfound",
    "is_mrm",
    "load_backbone",
    "read_chexfound",
    "read_mae",
    "read_mrm",
    "read_tensors",
    "sort_chexfound",
    "sort_mae",
    "sort_mrm",
    "stripped",
]
