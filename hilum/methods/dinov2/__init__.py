"""DINOv2 on chest films, as CheXFound pretrains with it."""

from hilum.methods.dinov2.config import PRESETS, SETTINGS, VARIANTS, Config, HeadConfig
from hilum.methods.dinov2.method import DINOv2

__all__ = ["PRESETS", "SETTINGS", "VARIANTS", "Config", "DINOv2", "HeadConfig"]
