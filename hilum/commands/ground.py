"""`hilum ground`: sentences, or the queries of a classifier, to heat maps on films, scored against boxes."""

from __future__ import annotations

from typing import Literal


def ground(
    encoder: str,
    *,
    data: str,
    out: str,
    boxes: str | None = None,
    preset: Literal["hilum", "maco-paper", "maco-released", "biovil", "gloria"] = "hilum",
    tau: float | None = None,
    sentences: Literal["auto", "phrase", "prompts", "report"] = "auto",
    prompts: str = "findings",
    sections: tuple[str, ...] = (),
    masks: str | None = None,
    maps: Literal["attention", "rollout", "gradient", "cam", "auto"] = "attention",
    split: Literal["train", "val", "test"] = "test",
    views: tuple[str, ...] = (),
    allow_train: bool = False,
    ask: tuple[str, ...] = (),
    anchor: str | None = None,
    registered: int = 25,
    examples: int = 8,
    draws: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Ask films where a sentence is true, or where a classifier looks; writes results.html, .md, .json and pictures.

    Of an encoder that reads reports, sentences are asked; of a run of `hilum adapt --head glori`, the query of each
    finding, beside the attention of the encoder's own class token; of a run with any head, maps by rollout or gradient
    (--maps). Options of sentences are refused there.

    Args:
        encoder: a run or encoder folder of a method that reads reports (maco, medim), or a run of hilum adapt (with
            --head glori, or any head and another choice of --maps).
        data: folder with a manifest.
        out: folder for the results; new or empty.
        boxes: COCO .json or a table of boxes; default boxes.json or boxes.csv of the data folder; zones makes weak
            boxes of the side and zone words of the reports.
        preset: hilum (cosine, whole sentence, empty maps score 0), maco-paper, maco-released, biovil,
            or gloria (attention of words; medim).
        tau: temperature of the position prior instead of the preset's.
        sentences: phrases of the boxes file, prompts of the category, or the report's own sentence about it; auto takes
            phrases where the file has them, else prompts.
        prompts: a YAML file of sentences for and against each finding, or findings, which comes with the package.
        sections: parts of the reports that are read, e.g. findings,impression; default the whole text.
        masks: folder of lung masks for zones; default masks/ of the data folder.
        maps: classifiers: attention of the head's queries (glori); for any head rollout (of the attention), gradient
            (attention that raises the score), cam (Grad-CAM); auto takes attention where there are queries.
        split: whose films are asked.
        views: only films with these view positions, e.g. PA,AP.
        allow_train: classifiers: judge patients that it learned from all the same, with a note.
        ask: classifiers: whose query is asked about boxes of another name, e.g. "Lung Opacity=Pneumonia".
        anchor: classifiers: image id of a frontal film; maps of films that have a finding are registered to it and
            averaged (needs the extra registration).
        registered: classifiers: films an average.
        examples: questions with pictures; 0 for none.
        draws: patients are drawn this often for the intervals.
        seed: of the draws, and of the examples.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import shlex
    import sys
    from pathlib import Path

    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError
    from hilum.evaluation.features import Runner
    from hilum.evaluation.ground import Grounding, judge_grounding
    from hilum.evaluation.query_ground import QUERIES, judge_queries, refuse_given
    from hilum.evaluation.query_maps import is_trained_model
    from hilum.results.grounding import summary_lines

    options = Grounding(**{name: given[name] for name in Grounding.__dataclass_fields__})
    classifier = is_trained_model(encoder)
    runner = Runner(device=device, batch_size=batch_size, workers=workers)
    command = f"hilum {shlex.join(as_words(ground, given))}"
    if classifier:
        results = judge_queries(encoder, data, out, options, maps=maps, runner=runner, command=command)
    else:
        refuse_given(options, QUERIES, why="It is for a run of `hilum adapt classify` or `survive`")
        if maps != "attention":
            raise ConfigError(
                "has no meaning here", where="--maps", fix="It is for a run of `hilum adapt classify` or `survive`"
            )
        results = judge_grounding(encoder, data, out, options, runner=runner, command=command)
    sys.stdout.write("\n".join([*summary_lines(results), str(Path(out) / "results.html")]) + "\n")
    return out
