"""`hilum retrieve`: films and reports find each other, with ranks, chance levels and similar cases."""

from __future__ import annotations

from typing import Literal


def retrieve(
    encoder: str,
    *,
    data: str,
    out: str,
    split: Literal["train", "val", "test"] = "test",
    views: tuple[str, ...] = (),
    sections: tuple[str, ...] = (),
    similarity: Literal["cosine", "dot"] = "cosine",
    labels: tuple[str, ...] = (),
    prompts: str = "findings",
    query: tuple[str, ...] = (),
    examples: int = 6,
    neighbours: int = 5,
    index: Literal["exact", "faiss"] = "exact",
    draws: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Search a split in both directions; writes results.html, .md, .json, ranks.parquet and similar_cases.png.

    Args:
        encoder: a run or encoder folder of a method that reads reports (maco, medim).
        data: folder with a manifest that has reports.
        out: folder for the results; new or empty.
        split: whose films and reports are searched.
        views: only films with these view positions, e.g. PA,AP.
        sections: parts of the reports that are read, e.g. findings,impression; default the whole text.
        similarity: cosine, or the raw dot product.
        labels: findings for retrieval by class and side; default all labelled ones.
        prompts: the prompts file whose terms find the side that a report names.
        query: sentences, or files of films, to show similar cases of instead of examples of the split.
        examples: rows on the sheet of similar cases; 0 for none.
        neighbours: similar cases a row.
        index: exact, or faiss for similar cases in large archives; ranks are always exact.
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
    from hilum.evaluation.features import Runner
    from hilum.evaluation.search import Retrieval, run_retrieval
    from hilum.results.retrieval import summary_lines

    results = run_retrieval(
        encoder,
        data,
        out,
        Retrieval(**{name: given[name] for name in Retrieval.__dataclass_fields__}),
        runner=Runner(device=device, batch_size=batch_size, workers=workers),
        command=f"hilum {shlex.join(as_words(retrieve, given))}",
    )
    sys.stdout.write("\n".join([*summary_lines(results), str(Path(out) / "results.html")]) + "\n")
    return out
