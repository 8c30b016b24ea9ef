"""What every layout of image and report encoders owes: found by its names, nothing forgotten, nothing left random."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.lookup import lookup
from hilum.models.backbone import build_backbone
from hilum.models.fill import fill
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts import LAYOUTS, Layout
from tests.released.report_files import Maker, fits_on_meta, source_of, words
from tests.released.stand_ins import STAND_INS

ASKED = Asked(image_size=48, heads=1, text_heads=2)
# layout -> parameters of the released image encoder: torchvision's ResNet-50 without fc, ViT-B/16, and what they add
SIZES = {
    "biovil": 23_508_032,
    "biovil-t": 23_508_032 + 2048 * 256 + 256,
    "gloria": 23_508_032,
    "mgca": 23_508_032,
    "convirt": 23_508_032,
    "convirt-pytorch": 23_508_032,
    "medklip": 8_543_296,
    "refers": 85_798_656,
    "m3ae": 85_798_656 - 768 + 128 * 768 + 2 * 768 - 7_087_872,  # no bias, 18 x 18 patches, a norm more, a block less
}


@pytest.mark.parametrize("name", list(STAND_INS))
def test_every_tensor_has_its_place_or_its_reason(name: str) -> None:
    layout, make, _ = STAND_INS[name]
    tensors = make(Maker(), False)
    source = source_of(tensors)
    assert layout_of(source) == layout
    chosen: Layout = lookup(LAYOUTS, layout, kind="layout")
    found = chosen.read(source, ASKED)
    dropped = [key for key, _ in found.dropped]
    assert len(dropped) == len(set(dropped))
    assert set(dropped) <= set(tensors)
    assert all(why for _, why in found.dropped)
    given = [*found.image.values(), *(found.joint.weights.values() if found.joint else ())]
    kept = sum(tensors[key].numel() for key in tensors if key not in dropped)
    assert kept == sum(value.numel() for value in given)  # renamed, fused and flattened, but none lost or made up
    assert fits_on_meta(found).config == found.architecture


@pytest.mark.parametrize("name", list(STAND_INS))
@pytest.mark.parametrize("fault", ["missing", "renamed", "another shape", "one more"])
def test_a_block_that_does_not_fit_is_refused(name: str, fault: str, tmp_path: Path) -> None:
    layout, make, key = STAND_INS[name]
    tensors = make(Maker(), False)
    value = tensors[key] if fault in ("another shape", "one more") else tensors.pop(key)
    if fault == "renamed":
        tensors[f"{key}_"] = value
    if fault == "another shape":
        tensors[key] = torch.zeros(*value.shape, 2)
    if fault == "one more":
        tensors[f"{key}.again"] = value.clone()
    save_file(tensors, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError) as refused:
        hilum.load(tmp_path / "file.safetensors", layout=layout, heads=1, text_heads=2)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("name", list(STAND_INS))
def test_an_encoder_without_text_comes_through_the_door_and_back(name: str, tmp_path: Path) -> None:
    layout, make, _ = STAND_INS[name]
    torch.save({"state_dict": make(Maker(), False)}, tmp_path / "file.ckpt")
    encoder = hilum.load(tmp_path / "file.ckpt", heads=2)
    assert encoder.origin["layout"] == layout
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert again.preprocessing == encoder.preprocessing
    films = torch.randn(1, 3, *(encoder.model.config.image_size,) * 2)
    assert torch.equal(again.embed(films), encoder.embed(films))
    assert encoder.embed(films).shape == (1, encoder.width)
    with pytest.raises(CheckpointError, match="no text tower"):
        encoder.embed_text(["No mass."])


@pytest.mark.parametrize("name", list(STAND_INS))
def test_the_real_size_can_be_built(name: str) -> None:
    layout, make, _ = STAND_INS[name]
    chosen: Layout = lookup(LAYOUTS, layout, kind="layout")
    found = chosen.read(source_of(make(Maker("meta"), True)), Asked())
    model = fits_on_meta(found)
    assert sum(value.numel() for value in model.parameters()) == SIZES[name]


@pytest.mark.parametrize("name", ["gloria", "mgca", "convirt"])
def test_another_tokenizer_is_refused(name: str, tmp_path: Path) -> None:
    save_file(STAND_INS[name][1](Maker(), False), tmp_path / "file.safetensors")
    words(tmp_path / "words", vocabulary=90)
    with pytest.raises(CheckpointError, match="100 word pieces and the tokenizer has 90"):
        hilum.load(tmp_path / "file.safetensors", tokenizer=tmp_path / "words")


DAMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "a number": lambda value: torch.tensor(1.0),
    "a row": lambda value: value.flatten(),
    "an axis more": lambda value: value[..., None],
    "nothing": lambda value: value.new_zeros((0, *value.shape[1:])),
    "other numbers": lambda value: value.long(),
}


@pytest.mark.parametrize("name", list(STAND_INS))
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_tensor_damaged_anywhere_is_one_sentence_or_harmless(name: str) -> None:
    layout, make, _ = STAND_INS[name]
    whole, chosen = make(Maker(), False), lookup(LAYOUTS, layout, kind="layout")
    draw, refused = random.Random(0), []
    for _ in range(60):
        key, damage = draw.choice(list(whole)), draw.choice(list(DAMAGES))
        source = source_of(whole | {key: DAMAGES[damage](whole[key])})
        try:
            found = chosen.read(source, ASKED)
            fill(build_backbone(found.architecture), found.image, where="file")
        except CheckpointError as error:
            refused.append(str(error))
    assert refused
    assert all(len(said.splitlines()) == 1 for said in refused)
