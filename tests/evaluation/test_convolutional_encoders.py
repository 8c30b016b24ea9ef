"""Every head on every convolutional family: frozen, fine-tuned, masks, boxes, stored features, maps, words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder, load
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.classifier import Record, load_classifier
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.finetune import Config, fine_tune_method
from hilum.evaluation.prediction.explained import explained
from hilum.evaluation.prediction.maps import film_maps, resolve_way
from hilum.evaluation.run import run_adaptation
from hilum.evaluation.segmentation.model import load_segmenter
from hilum.evaluation.segmentation.plan import make_plan as plan_segmentation
from hilum.evaluation.segmentation.run import run_segmentation
from hilum.heads.detection import Detector, DetectorConfig
from hilum.heads.knn import knn_scores
from hilum.heads.targets import LabelLoss
from hilum.manifest import Manifest
from hilum.models.convolution import Convolutional
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.optim import layer_of, layers_of, parameter_groups
from hilum.schema import IMAGE, LABELS
from tests.evaluation.conftest import GREY
from tests.evaluation.segmentation.conftest import options as segmentation_options
from tests.evaluation.segmentation.conftest import write_masked_films
from tests.models.tiny_convolutions import TINY, films, tiny

QUIET = Runner(device="cpu", batch_size=8, quiet=True)
GLORI = {"dim": 16, "heads": 2, "feedforward": 16}
FAMILIES = sorted(TINY)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("convolutional encoders")
    return {family: Encoder(tiny(family), GREY, {"method": "none"}).save(root / family) for family in FAMILIES}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_masked_films(tmp_path_factory.mktemp("masked films"), 16)


def asked(folder: Path, data: Path, **more: Any) -> Options:
    return Options(str(folder), str(data), ("Mass", "Effusion"), epochs=1, lrs=(0.01,), **more)


@pytest.mark.parametrize("head", ["linear", "mlp", "glori", "chexfound-probe"])
@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_heads_learn_and_leave_the_encoder_alone(
    family: str, head: str, encoders: dict[str, Path], tiny_data: Path, tmp_path: Path
) -> None:
    head_set = GLORI if head == "glori" else {}
    run_adaptation(
        make_plan(asked(encoders[family], tiny_data, head=head, head_set=head_set)), tmp_path / "run", runner=QUIET
    )
    trained = load_classifier(tmp_path / "run")
    before = load(encoders[family]).model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in trained.model.backbone.state_dict().items())
    model = explained(trained)
    with pytest.raises(ConfigError, match="a convolutional encoder has no attention, so no rollout"):
        resolve_way(model, "rollout")
    way = resolve_way(model, "auto")
    assert way == ("attention" if head == "glori" else "cam")
    found = next(film_maps(model, Manifest.read(tiny_data), way, runner=QUIET))
    assert found.shape == (2, 2, 2)
    assert np.isfinite(found).all()
    assert found.min() >= 0


@pytest.mark.parametrize("family", FAMILIES)
def test_fine_tuning_moves_weights_and_statistics(
    family: str, encoders: dict[str, Path], tiny_data: Path, tmp_path: Path
) -> None:
    plan = make_plan(asked(encoders[family], tiny_data, mode="finetune", steps=2, batch_size=8, start="fresh"))
    assert not plan.record.fc_norm
    run_adaptation(plan, tmp_path / "run", runner=QUIET)
    before, after = (
        load(encoders[family]).model.state_dict(),
        load_classifier(tmp_path / "run").model.backbone.state_dict(),
    )
    still = {name for name, value in after.items() if torch.equal(before[name], value)}
    assert not {name for name in still if name.endswith(("running_mean", "running_var"))}
    assert len(still) < len(after) / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_rates_decay_by_stage_and_a_frozen_encoder_stays(family: str, encoders: dict[str, Path]) -> None:
    encoder = load(encoders[family])
    record = Record(("Mass", "Effusion"), mode="finetune")
    batch = {IMAGE: films(4), LABELS: torch.tensor([[1.0, 0.0], [0.0, 1.0]] * 2)}
    still = fine_tune_method(encoder, record, Config(loss=LabelLoss(), freeze=True), seed=0).train()
    still(batch, 0.0).loss.backward()
    before = encoder.model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in still.backbone.state_dict().items())
    method = fine_tune_method(encoder, record, Config(loss=LabelLoss()), seed=0)
    groups = parameter_groups(
        method.named_parameters(), weight_decay=0.05, layer_decay=0.5, depth=layers_of(method.backbone)
    )
    scale = {name: group.lr_scale for group in groups for name in group.names}
    assert len(scale) == sum(part.requires_grad for part in method.parameters())
    assert layers_of(method.backbone) == 4
    stem = {
        "resnet": "bn1.bias",
        "densenet": "features.norm0.bias",
        "convnext": "stem.1.bias",
        "clip_resnet": "bn3.bias",
    }
    third = {
        "resnet": "layer3.0.conv1.weight", "densenet": "features.transition3.conv.weight",
        "convnext": "stages.2.downsample.1.weight", "clip_resnet": "layer3.1.bn3.weight",
    }  # fmt: skip
    assert scale[f"classifier.backbone.{stem[family]}"] == 0.5**5
    assert scale[f"classifier.backbone.{third[family]}"] == 0.5**2
    assert {rate for name, rate in scale.items() if "backbone" not in name} == {1.0}
    layers = {layer_of(f"backbone.{name}", 4) for name in before}
    for pool in ("mean", "cls"):  # a parameter without gradient would stop a run on several devices
        tuned = fine_tune_method(encoder, replace(record, pool=pool), Config(loss=LabelLoss()), seed=0).train()
        tuned(batch, 0.0).loss.backward()
        assert not [name for name, part in tuned.named_parameters() if part.requires_grad and part.grad is None]
    assert layers == ({0, 1, 2, 3, 4} if family == "resnet" else {0, 1, 2, 3, 4, 5})


@pytest.mark.parametrize("form", ["upernet", "medim"])
@pytest.mark.parametrize("family", FAMILIES)
def test_masks_are_learned(family: str, form: str, encoders: dict[str, Path], masked: Path, tmp_path: Path) -> None:
    run_segmentation(
        plan_segmentation(segmentation_options(encoders[family], masked, steps=1, head=form, size=96)),
        tmp_path / "run",
        runner=QUIET,
    )
    model = load_segmenter(tmp_path / "run").model.eval()
    with torch.no_grad():
        assert model(films(1, 96)).shape[-2:] == (96, 96)


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_are_learned(family: str) -> None:
    torch.manual_seed(0)
    sizes = DetectorConfig(width=32, heads=4, feedforward=32, layers=1)
    detector = Detector(tiny(family), 2, 96, sizes)
    truth = [(torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.2, 0.3]]))] * 2
    detector.train().loss(films(2, 96), truth)[0].backward()
    assert not [name for name, part in detector.named_parameters() if part.requires_grad and part.grad is None]
    logits, boxes = detector.eval()(films(2, 96))
    assert logits.shape[1:] == (detector.places, 2)
    assert detector.places == 36
    assert (boxes[..., 2:] > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_stored_and_neighbours_found(
    family: str, encoders: dict[str, Path], tiny_data: Path, tmp_path: Path
) -> None:
    encoder = load(encoders[family])
    run_embedding(plan_embedding(encoder, str(tiny_data), tmp_path / "store", kinds=("cls", "mean", "patch")), QUIET)
    store = FeatureStore.open(tmp_path / "store")
    assert store.index.grid == (2, 2)
    vectors = encoder.embed(
        torch.stack([encoder.transform(np.full((64, 64), value, np.uint8)) for value in (0, 90, 200)])
    )
    scores = knn_scores(vectors, torch.tensor([[1.0], [0.0], [1.0]]), vectors[:1] * 2, k=1)
    assert scores.tolist() == [[1.0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_words_can_be_compared_with_the_local_map(family: str) -> None:
    model: Any = tiny(family, local_stage=3)
    assert isinstance(model, Convolutional)
    sizes = model.config
    text = TextConfig(width=12, depth=1, heads=2, hidden=24, positions=16)
    kinds: dict[str, Any] = dict.fromkeys(("image_head", "image_local_head", "text_head", "text_local_head"), "linear")
    config = TowersConfig(text=text, dim=6, length=16, image_pool="cls", **kinds)
    towers = Towers(config, sizes.width, sizes.patches, 50, pad_id=0, local_width=sizes.local_width)
    encoder = Encoder(model, GREY, towers=towers, tokenizer=object())  # type: ignore[arg-type]
    assert encoder.project(films()).shape == (2, 6)
    assert encoder.project_tokens(films()).shape == (2, 16, 6)
    with pytest.raises(CheckpointError, match="a convolutional encoder has no attention"):
        encoder.attention(films())
