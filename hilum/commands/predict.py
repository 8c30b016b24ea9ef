"""`hilum predict`: a trained model and films from anywhere to scores, masks or boxes, and maps of where they are."""

from __future__ import annotations

from typing import Literal


def predict(
    run: str,
    films: tuple[str, ...],
    *,
    out: str,
    maps: Literal["auto", "attention", "rollout", "gradient", "cam"] | None = None,
    findings: tuple[str, ...] = (),
    split: Literal["train", "val", "test"] | None = None,
    views: tuple[str, ...] = (),
    size: int | None = None,
    fit: Literal["squeeze", "pad", "shortest"] | None = None,
    files: bool = False,
    examples: int = 8,
    key: str | None = None,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    quiet: bool = False,
) -> int:
    """Say what a run of `hilum adapt` makes of new films; writes predictions.csv, .parquet and a results page.

    Films are DICOM, PNG or JPEG, told by content; each is decoded in a child process with limits, and one that cannot
    be read is a line in the report. DICOM ids are hashed, as in hilum prepare; names of files stay out of the output.
    A run of segment writes masks, one of detect boxes.json (COCO).

    Args:
        run: the run folder of hilum adapt.
        films: a folder of films, a manifest or its folder, or files.
        out: folder for the output; new or empty. It appears whole, or not at all.
        maps: where each score comes from, on each film: attention of the head's queries (glori; else of the class
            token), rollout of the encoder's attention, gradient (attention that raises the score), cam (Grad-CAM of the
            patches); auto takes attention where there are queries, cam where the head reads patches, gradient else.
        findings: whose maps are drawn; default all.
        split: only films of this split of a manifest.
        views: only films of these view positions of a manifest.
        size: pixels that films are brought to first; default as the films that the model learned from. Films of a
            manifest are taken as they are.
        fit: how, with --size, as in hilum prepare.
        files: write file names beside the ids; they may hold patients' names.
        examples: films with maps on the page; 0 for none.
        key: file with the secret that DICOM ids are hashed with, by default hilum.key beside out; made on first use.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: decoding processes; 0 is one a core.
        quiet: print nothing but the reasons of films that could not be read.

    Returns:
        The exit code: 1 if there are films that could not be read, else 0.
    """
    given = dict(locals())
    import shlex
    import sys

    from hilum.commands.arguments import as_words
    from hilum.evaluation.features import Runner
    from hilum.evaluation.prediction.run import Asked, predict_films

    asked = Asked(**{name: given[name] for name in Asked.__dataclass_fields__})
    predicted = predict_films(
        run,
        films,
        out,
        asked,
        key=key,
        runner=Runner(device=device, batch_size=batch_size, quiet=quiet),
        workers=workers,
        command=f"hilum {shlex.join(as_words(predict, given | ({} if files else {'films': ('FILMS',)})))}",
    )
    for film in predicted.unread:
        sys.stderr.write(f"{film.file}: {film.reason}\n")
    if not quiet:
        sys.stdout.write("\n".join([*predicted.lines, str(predicted.page)]) + "\n")
    return 1 if predicted.unread else 0
