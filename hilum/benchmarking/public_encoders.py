"""What other people's encoders were pretrained on, and what that took, as their papers and cards say.

A row says for which collections an encoder's authors state that the official test part was left out; where they state
nothing, films of that collection may have been seen, test films included. Numbers that nobody states are None and are
shown as "not known". `supervision` tells whether labels or reports of the films were learned from too, which makes an
overlap weightier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Supervision = Literal["images", "reports", "labels"]


@dataclass(frozen=True)
class PublicEncoder:
    """One published encoder."""

    title: str
    network: str
    pretrained_on: tuple[str, ...]  # names of `xray_collections.COLLECTIONS`
    supervision: Supervision
    source: str
    starts_from: str = ""  # another row, or words
    held_out: tuple[str, ...] = ()  # collections whose official test part was left out
    images: int | None = None  # different images
    epochs: float | None = None
    images_seen: int | None = None  # with repetition; images * epochs where this is None
    size: int | None = None  # pixels a side
    parameters: int | None = None  # of the image encoder
    gpu_hours: str | None = None
    names: tuple[str, ...] = ()  # other spellings

    @property
    def seen(self) -> int | None:
        """Images looked at, with repetition."""
        if self.images_seen is not None or self.images is None or self.epochs is None:
            return self.images_seen
        return round(self.images * self.epochs)


VIT_B: Final = 85_798_656  # ViT-B/16 without a head; with learned positions
VIT_L: Final = 303_301_632
MIMIC_FILMS: Final = 377_110

PUBLIC: Final = {
    "mrm": PublicEncoder(
        "MRM", "ViT-B/16", ("mimic-cxr",), "reports", "arXiv 2210.04285, section 3 and appendix", "mae-imagenet",
        images=MIMIC_FILMS, epochs=200, size=224, parameters=VIT_B, gpu_hours="about 190 (4 RTX 3080 Ti, 2 days)",
    ),
    "maco": PublicEncoder(
        "MaCo", "ViT-B/16", ("mimic-cxr",), "reports", "arXiv 2306.08286", "mae-imagenet",
        images=MIMIC_FILMS, epochs=30, size=224, parameters=VIT_B,
    ),
    "medim": PublicEncoder(
        "MedIM", "ViT-B/16", ("mimic-cxr",), "reports", "arXiv 2307.05666; its code reads the official training split",
        "deit", held_out=("mimic-cxr",), epochs=50, size=224, parameters=VIT_B,
    ),
    "mgca": PublicEncoder(
        "MGCA", "ViT-B/16 or ResNet-50", ("mimic-cxr",), "reports",
        "arXiv 2210.06044; its code reads the official training split", "deit", held_out=("mimic-cxr",), size=224,
    ),
    "cxrbase": PublicEncoder(
        "CXRBase", "ViT-L/16", ("mimic-cxr", "padchest", "nih-chestxray14", "chexpert", "private"), "images",
        "arXiv 2410.08861, sections 2 and 3.1", "mae-imagenet",
        images=1_040_000, epochs=800, size=224, parameters=VIT_L,
    ),
    "chexfound": PublicEncoder(
        "CheXFound", "ViT-L/16",
        ("mimic-cxr", "chexpert", "padchest", "nih-chestxray14", "brax", "vindr-cxr", "candid-ptx", "siim-acr",
         "object-cxr", "cohen", "covidx", "ricord", "bimcv-covid"),
        "images", "arXiv 2502.05142, Table I and section IV; released 512-pixel model: 250,000 steps of 112 films",
        images=1_005_733, images_seen=28_000_000, size=512, parameters=304_630_016,
        gpu_hours="384 to 768 (8 A100, 48 to 96 hours) a resolution",
    ),
    "rad-dino": PublicEncoder(
        "RAD-DINO", "ViT-B/14", ("mimic-cxr", "chexpert", "nih-chestxray14", "padchest", "brax"), "images",
        "arXiv 2401.10815 and the model card, which lists every training image", "dinov2",
        images=882_775, size=518, parameters=86_600_000, names=("raddino",),
    ),
    "rad-dino-maira-2": PublicEncoder(
        "RAD-DINO-MAIRA-2", "ViT-B/14", ("mimic-cxr", "chexpert", "nih-chestxray14", "padchest", "brax", "private"),
        "images", "model card: more films than RAD-DINO, one private collection", "dinov2", size=518,
        parameters=86_600_000,
    ),
    "eva-x": PublicEncoder(
        "EVA-X", "ViT-Ti, S or B/16 (EVA-02)", ("mimic-cxr", "chexpert", "nih-chestxray14"), "images",
        "arXiv 2405.05237; targets are features of MGCA, which read MIMIC-CXR's reports", "mgca",
        images=520_000, size=224, names=("evax",),
    ),
    "chexzero": PublicEncoder(
        "CheXzero", "ViT-B/32", ("mimic-cxr",), "reports", "Tiu et al. 2022, Nature Biomedical Engineering", "clip",
        images=MIMIC_FILMS, epochs=4, size=224, parameters=87_000_000,
    ),
    "biovil": PublicEncoder(
        "BioViL", "ResNet-50", ("mimic-cxr",), "reports", "arXiv 2204.09817", size=480,
    ),
    "biovil-t": PublicEncoder(
        "BioViL-T", "ResNet-50 and 3 transformer blocks", ("mimic-cxr",), "reports", "arXiv 2301.04558", size=448,
        names=("biovilt",),
    ),
    "biomedclip": PublicEncoder(
        "BiomedCLIP", "ViT-B/16", ("pmc-15m",), "reports", "arXiv 2303.00915: figures and captions of articles",
        size=224, parameters=VIT_B,
    ),
    "pubmedclip": PublicEncoder(
        "PubMedCLIP", "ViT-B/32 or ResNet-50", ("roco",), "reports",
        "arXiv 2112.13906: figures and captions of articles", "clip", size=224,
    ),
    "gloria": PublicEncoder(
        "GLoRIA", "ResNet-50", ("chexpert",), "reports", "Huang et al. 2021, ICCV; reports of CheXpert", size=299,
    ),
    "convirt": PublicEncoder(
        "ConVIRT", "ResNet-50", ("mimic-cxr", "private"), "reports", "arXiv 2010.00747", size=224,
    ),
    "refers": PublicEncoder(
        "REFERS", "ViT-B/16", ("mimic-cxr",), "reports", "Zhou et al. 2022, Nature Machine Intelligence", size=224,
        parameters=VIT_B,
    ),
    "medklip": PublicEncoder(
        "MedKLIP", "ResNet-50", ("mimic-cxr",), "reports", "arXiv 2301.02228", epochs=60, size=224,
    ),
    "m3ae": PublicEncoder(
        "M3AE", "ViT-B/16", ("roco", "medicat"), "reports", "arXiv 2209.07098: figures and captions of articles",
        "clip",
    ),
    "torchxrayvision-all": PublicEncoder(
        "torchxrayvision, all", "DenseNet-121",
        ("nih-chestxray14", "padchest", "chexpert", "mimic-cxr", "google-nih", "openi", "rsna"), "labels",
        "arXiv 2111.00595 and the name of its weights", size=224, names=("xrv all", "densenet121 res224 all"),
    ),
    "torchxrayvision-nih": PublicEncoder(
        "torchxrayvision, NIH", "DenseNet-121", ("nih-chestxray14",), "labels", "arXiv 2111.00595", size=224,
        names=("xrv nih", "densenet121 res224 nih"),
    ),
    "torchxrayvision-pc": PublicEncoder(
        "torchxrayvision, PadChest", "DenseNet-121", ("padchest",), "labels", "arXiv 2111.00595", size=224,
        names=("xrv pc", "densenet121 res224 pc"),
    ),
    "torchxrayvision-chex": PublicEncoder(
        "torchxrayvision, CheXpert", "DenseNet-121", ("chexpert",), "labels", "arXiv 2111.00595", size=224,
        names=("xrv chex", "densenet121 res224 chex"),
    ),
    "torchxrayvision-mimic": PublicEncoder(
        "torchxrayvision, MIMIC", "DenseNet-121", ("mimic-cxr",), "labels", "arXiv 2111.00595", size=224,
        names=("xrv mimic", "densenet121 res224 mimic nb", "densenet121 res224 mimic ch"),
    ),
    "torchxrayvision-rsna": PublicEncoder(
        "torchxrayvision, RSNA", "DenseNet-121", ("rsna",), "labels", "arXiv 2111.00595", size=224,
        names=("xrv rsna", "densenet121 res224 rsna"),
    ),
    "mae-imagenet": PublicEncoder(
        "MAE, ImageNet", "ViT-B/16 or larger", ("imagenet-1k",), "images", "arXiv 2111.06377",
        images=1_281_167, epochs=1600, size=224, names=("mae pretrain vit base", "mae pretrain vit large"),
    ),
    "deit": PublicEncoder(
        "DeiT", "ViT-B/16", ("imagenet-1k",), "labels", "arXiv 2012.12877", images=1_281_167, epochs=300, size=224,
        parameters=VIT_B, names=("deit base",),
    ),
    "clip": PublicEncoder(
        "CLIP", "ViT-B/32 or larger", ("web-pairs",), "reports", "arXiv 2103.00020", images=400_000_000, epochs=32,
        size=224,
    ),
    "dinov2": PublicEncoder(
        "DINOv2", "ViT-B/14 or larger", ("lvd-142m",), "images", "arXiv 2304.07193", images=142_000_000,
        names=("dinov2 vitb14", "dinov2 vitl14"),
    ),
    "dinov3": PublicEncoder(
        "DINOv3", "ViT-B/16 or larger", ("lvd-1689m",), "images", "arXiv 2508.10104", images=1_689_000_000,
    ),
    "convnext-imagenet": PublicEncoder(
        "ConvNeXt, ImageNet", "ConvNeXt", ("imagenet-22k",), "labels", "arXiv 2201.03545",
    ),
}  # fmt: skip

# layouts that are one method's alone; others (MAE, DINOv2, CLIP, Hugging Face) have many authors
ONE_AUTHOR: Final = frozenset(
    {
        *("mrm", "maco", "mgca", "chexfound", "eva-x", "refers", "m3ae"),
        *("chexzero", "biomedclip", "biovil", "biovil-t", "gloria", "medklip"),
    }
)


def find_public(text: str) -> str | None:
    """The row that a file name or label speaks of ("rad_dino", "MRM.pth"); None where no name fits as a whole."""
    words = " ".join(re.findall(r"[a-z0-9]+", re.sub(r"\.(pth|pt|safetensors|ckpt|bin)$", "", text.lower())))
    for key, row in PUBLIC.items():
        if words in (key.replace("-", " "), *row.names):
            return key
    return None


def all_collections(name: str) -> tuple[str, ...]:
    """Everything a public encoder has seen, what it started from included, in order and without repeats."""
    found: dict[str, None] = {}
    while name in PUBLIC:
        found |= dict.fromkeys(PUBLIC[name].pretrained_on)
        name = PUBLIC[name].starts_from
    return tuple(found)
