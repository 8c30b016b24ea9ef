"""A released GLoRI file on its encoder, as a classifier that `hilum evaluate` judges.

encoder = hilum.load("teacher_checkpoint.pth")
released_classifier(encoder, "glori.pth").save(Path("CHEXFOUND/model"))   # then: hilum evaluate CHEXFOUND --data DATA
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilum.config import to_json
from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import Classifier, Record, TrainedClassifier
from hilum.evaluation.features import weights_digest
from hilum.heads.choose import DEFAULT_THRESHOLD
from hilum.heads.released_glori import load_glori
from hilum.models.pretrained.glori import FINDINGS
from hilum.run_folder import LOG


def released_classifier(
    encoder: Encoder, path: str | Path, *, findings: Sequence[str] | None = None, lr: float | None = None
) -> TrainedClassifier:
    """Put a released head on the encoder it was trained on.

    Args:
        encoder: of the same release.
        path: the GLoRI file; what was used of it is logged.
        findings: the names of its outputs; None: the 40 of the release, without spaces, e.g. PleuralEffusion.
        lr: which head, where the file has several.

    Raises:
        CheckpointError: not a GLoRI file, or of an encoder of another width.
        ConfigError: names that are not as many as outputs.
    """
    head, file = load_glori(path, lr=lr)
    for line in file.report():
        LOG.info(line)
    if file.width != encoder.width * file.blocks:
        what = f"reads {file.width} channels of {file.blocks} blocks, and the encoder is {encoder.width} wide"
        raise CheckpointError(what, where=path, fix="Give the encoder that it was released with")
    names = tuple(findings) if findings is not None else tuple(name.replace(" ", "") for name in FINDINGS)
    if len(names) != file.outputs:
        raise ConfigError(f"{len(names)} names for {file.outputs} outputs", where="findings", fix="Name them in order")
    record = Record(
        findings=names,
        head="glori",
        head_variant="released" if file.class_token == "channels" else "released-patches",
        head_config=to_json(head.config),
        thresholds=dict.fromkeys(names, DEFAULT_THRESHOLD),
        threshold_notes=dict.fromkeys(names, f"released without one: {DEFAULT_THRESHOLD}, not chosen"),
        origin={"encoder_sha256": weights_digest(encoder.model), "head": Path(path).name, "trained_at": file.lr},
    )
    return TrainedClassifier(Classifier(encoder.model, head, pool=record.pool).eval(), encoder.preprocessing, record)
