"""torchxrayvision's encoders: DenseNet-121 at 224 px, ResNet-50 at 512 px, the ResNet of its autoencoder at 224 px.

Package: torchxrayvision 1.5.7; papers https://arxiv.org/abs/2002.02497 and https://arxiv.org/abs/2102.09475. All take
one channel with values in [-1024, 1024]. The DenseNets come as pickled modules, which are read as data; the others as
state dicts. Eighteen classifier outputs and their operating points are left out; an encoder's vector is the mean over
the last map, of DenseNets after ReLU. The autoencoder's code is its last map of 3 x 3 cells, of which we give the mean
and the cells; its blocks have a ReLU more than others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.convolutions import opened, prefix_of
from hilum.released.layouts.densenet import densenet_config, prefix_in
from hilum.released.layouts.densenet import take_weights as take_densenet
from hilum.released.layouts.resnet import NAMED
from hilum.released.layouts.resnet import take_weights as take_resnet
from hilum.released.layouts.trunk import trunk_config
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

OUTPUTS: Final = 18
LAST_STRIDE: Final = 6  # of the autoencoder's fourth stage, which no tensor tells
FINDINGS: Final = (
    "Atelectasis, Consolidation, Infiltration, Pneumothorax, Edema, Emphysema, Fibrosis, Effusion, Pneumonia, "
    "Pleural_Thickening, Cardiomegaly, Nodule, Mass, Hernia, Lung Lesion, Fracture, Lung Opacity, "
    "Enlarged Cardiomediastinum"
)
# beginning of a released file's name -> name of the weights in the package; the particular before the general
SETS: Final = {
    "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121": "densenet121-res224-all",
    "nih-densenet121": "densenet121-res224-nih",
    "pc-densenet121": "densenet121-res224-pc",
    "chex-densenet121": "densenet121-res224-chex",
    "kaggle-densenet121": "densenet121-res224-rsna",
    "mimic_nb-densenet121": "densenet121-res224-mimic_nb",
    "mimic_ch-densenet121": "densenet121-res224-mimic_ch",
    "pc-nih-rsna-siim-vin-resnet50": "resnet50-res512-all",
    "nihpcrsnamimic_ch-resnet101-2-ae": "101-elastic",
}
_CLASSIFIER: Final = f"the classifier of {OUTPUTS} findings"
_THRESHOLDS: Final = "the classifier's operating points"
_DECODER: Final = "the decoder, which draws the film again"


def recognise(source: Source) -> bool:
    """Whether there is a DenseNet or ResNet of one channel with 18 outputs, or the ResNet of an autoencoder."""
    if (prefix := prefix_in(source)) is not None:
        return _grey(source, f"{prefix}features.conv0.weight") and _outputs(source, f"{prefix}classifier.weight")
    prefix = prefix_of(source.tensors, NAMED)
    if prefix is None or not _grey(source, f"{prefix}conv1.weight"):
        return False
    return f"{prefix}uplayer_top.conv1.weight" in source.tensors or _outputs(source, f"{prefix}fc.weight")


def read(source: Source, asked: Asked) -> Found:
    """The encoder; classifier, operating points and decoder are left out."""
    ledger = Ledger(source.tensors, source.path)
    ledger.drop(r"(.*\.)?op_threshs$", _THRESHOLDS)
    if (prefix := prefix_in(source)) is not None:
        ledger.drop(rf"{prefix}classifier\.", _CLASSIFIER)
        prefix, weights = take_densenet(ledger, source)
        pixels = record("torchxrayvision", size=asked.image_size, channels=1)
        densenet = densenet_config(weights, source.path, image_size=pixels.size)
        notes = (*opened(prefix), _which(source), _outputs_note(source))
        return Found(densenet, weights, pixels, ledger.close(), notes=notes)
    prefix = prefix_of(source.tensors, NAMED) or ""
    autoencoder = f"{prefix}uplayer_top.conv1.weight" in source.tensors
    ledger.drop(rf"{prefix}fc\.", _CLASSIFIER)
    ledger.drop(rf"{prefix}(uplayer\w+|conv1_1)\.", _DECODER)
    _, weights = take_resnet(ledger)
    name = "torchxrayvision" if autoencoder else "torchxrayvision-resnet"
    pixels = record(name, size=asked.image_size, channels=1)
    last = weights["layer4.0.conv1.weight"].shape[0] if autoencoder else None
    stride = LAST_STRIDE if autoencoder else 2
    resnet = trunk_config(weights, source.path, image_size=pixels.size, last_planes=last, last_stride=stride)
    resnet = replace(resnet, block="rectified") if autoencoder else resnet
    notes = (*opened(prefix), _which(source))
    if not autoencoder:
        notes = (*notes, _outputs_note(source))
    return Found(resnet, weights, pixels, ledger.close(), notes=notes)


def _grey(source: Source, key: str) -> bool:
    return key in source.tensors and source.tensors[key].ndim == 4 and source.tensors[key].shape[1] == 1


def _outputs(source: Source, key: str) -> bool:
    return key in source.tensors and source.tensors[key].shape[0] == OUTPUTS


def _outputs_note(source: Source) -> str:
    """What its classifier said: as the pickled network names it, else in the package's order."""
    for name in ("pathologies", "targets"):
        said = source.extra.get(name)
        if isinstance(said, list | tuple) and said:
            return f"left out: its outputs {', '.join(str(finding) or '(unused)' for finding in said)}"
    return f"left out: its outputs, in the package's order {FINDINGS}; a set leaves those it had no labels for unused"


def _which(source: Source) -> str:
    """Which of the released weights these are, as far as the file's name tells."""
    for name in (source.path.name, source.path.stem):
        for start, title in SETS.items():
            if name.startswith(start) or name == title:
                return f"weights: {title}, by the file's name; no tensor tells"
    return "weights: no tensor tells which of torchxrayvision's sets they were trained on, nor does the file's name"


LAYOUT = Layout("torchxrayvision (DenseNet-121, ResNet-50, autoencoder)", recognise, read)
