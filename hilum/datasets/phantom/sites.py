"""The four made-up hospitals: who they see, what machines they own, and how their films look.

Site and machine move exposure, contrast, noise, sharpening and the share of bedside films, as they do between
real hospitals. Nothing here depends on a finding.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """One hospital and its X-ray room."""

    name: str
    manufacturer: str
    model: str
    share: float  # of all patients
    bedside: float  # probability that a study is an AP film at the bedside, before acuity
    acuity: float  # shift of the latent acuity, standard deviations
    grey: float  # mean of the displayed grey level, logit-like units
    contrast: float  # slope of the display curve
    noise: float  # standard deviation of the quantum noise at the lung, in log exposure
    sharpening: float  # gain of the edge enhancement
    scatter: float  # scattered / primary radiation at the detector
    field_mm: float  # side of the square detector; films are cropped to 0.86 to 1 of it
    inverted: bool  # DICOM: stores MONOCHROME1
    rle: bool  # DICOM: stores RLE Lossless
    bits: int  # DICOM: bits stored
    marker: int  # corner of the lead letter: 0 at the top left of the picture, 1 at the top right, 2 at neither


SITES: tuple[Site, ...] = (
    Site("north", "Aurora Imaging", "AX-40", 0.38, 0.16, -0.20,
         0.00, 1.00, 0.022, 0.45, 0.75, 430.0, inverted=False, rle=False, bits=12, marker=1),
    Site("harbour", "Brightline", "BL Mobile 2", 0.27, 0.45, 0.45,
         0.10, 0.88, 0.036, 0.25, 0.95, 425.0, inverted=True, rle=False, bits=12, marker=0),
    Site("valley", "Corona Medical", "Chestline S", 0.21, 0.20, -0.10,
         -0.10, 1.15, 0.018, 0.80, 0.65, 432.0, inverted=False, rle=True, bits=12, marker=1),
    Site("hill", "Dioptra", "D-View 7", 0.14, 0.28, 0.10,
         0.05, 0.95, 0.030, 0.10, 0.80, 410.0, inverted=False, rle=False, bits=10, marker=2),
)  # fmt: skip
