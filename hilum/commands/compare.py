"""`hilum compare`: is A better than B, by how much, how sure."""

from __future__ import annotations


def compare(
    runs: tuple[str, ...],
    *,
    out: str,
    names: tuple[str, ...] = (),
    metrics: tuple[str, ...] = (),
    margin: float | None = None,
    draws: int = 1000,
    permutations: int = 1000,
    seed: int = 0,
) -> str:
    """Compare judged runs on the same patients, the first with each of the others; writes results.html, .md and .json.

    Args:
        runs: judged folders of one task, or run folders with one judged folder inside; two or more.
        out: folder for the comparison; new or empty.
        names: what to call the runs, in their order; default their folders' names.
        metrics: the metrics to compare, e.g. auroc,auprc; default all of the task, the first of which decides.
        margin: of non-inferiority: the largest loss that would be accepted, in units of each metric.
        draws: patients are drawn this often for the intervals.
        permutations: patients are swapped this often for the tests.
        seed: of the draws and permutations.
    """
    given = dict(locals())
    import shlex
    import sys
    from pathlib import Path

    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError
    from hilum.results.judgement import open_judgements
    from hilum.results.paired import compare_judgements
    from hilum.results.paired_page import paired_markdown, paired_page, summary_lines
    from hilum.results.reading import write_reading
    from hilum.run_folder import RunFolder

    if names and len(names) != len(runs):
        raise ConfigError(f"{len(names)} names for {len(runs)} runs", where="names", fix="Give one name a run")
    RunFolder(out)  # refuses a folder with something in it
    results = compare_judgements(
        *open_judgements(runs, names),
        metrics=metrics,
        margin=margin,
        draws=draws,
        permutations=permutations,
        seed=seed,
        command=f"hilum {shlex.join(as_words(compare, given))}",
    )
    page = write_reading(out, results, html=paired_page(results), markdown=paired_markdown(results), tables={})
    sys.stdout.write("\n".join([*summary_lines(results), str(page)]) + "\n")
    return str(Path(out))
