"""MedIM: report-guided masking on top of MGCA's alignment; configuration, views and the method, a file each."""

from hilum.methods.medim.config import PRESETS, VARIANTS, Config
from hilum.methods.medim.method import MedIM

__all__ = ["PRESETS", "VARIANTS", "Config", "MedIM"]
