"""From a manifest to a pretrained encoder: what `hilum pretrain` does, as library calls."""

from hilum.pretraining.initialise import initialise_from
from hilum.pretraining.load import load_method
from hilum.pretraining.plan import Plan, make_plan
from hilum.pretraining.run import run_pretraining

__all__ = ["Plan", "initialise_from", "load_method", "make_plan", "run_pretraining"]
