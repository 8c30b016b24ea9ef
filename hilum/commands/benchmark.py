"""`hilum benchmark`: encoders beside one another on tasks, sets against sets, or a paper's result table once more."""

from __future__ import annotations

from typing import Literal


def benchmark(
    *,
    encoders: tuple[str, ...] = (),
    tasks: str | None = None,
    cross: tuple[str, ...] = (),
    table: str | None = None,
    out: str | None = None,
    fractions: tuple[float, ...] = (1.0,),
    seeds: int = 3,
    labels: tuple[str, ...] = (),
    reference: str = "best",
    data: str | None = None,
    miniature: bool = False,
    draws: int = 1000,
    permutations: int = 1000,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    dry_run: bool = False,
) -> str:
    """Adapt several encoders to several tasks and write one leaderboard; repeat the command to go on.

    Args:
        encoders: PATH or NAME=PATH, e.g. mae=runs/mae,rad-dino=weights/rad_dino.pth; random:NAME is the same network
            with random weights.
        tasks: a YAML file that lists the tasks; see docs/benchmark.md.
        cross: data folders instead of tasks: train on each, test on every other.
        table: a result table of a paper instead of tasks, e.g. mrm-table-1.
        out: the benchmark's folder; new, or one to go on with.
        fractions: shares of the training patients' labels, e.g. 0.01,0.1,1.
        seeds: runs a setting.
        labels: cross: findings by their common names; default all that two sets share.
        reference: what the others are compared with: best, first, or an encoder's name.
        data: table: the folder of the data sets.
        miniature: table: stand-ins of the data sets and a tiny encoder.
        draws: patients are drawn this often for the intervals; at least 100.
        permutations: of the paired tests; at least 100.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        dry_run: check everything, say what would be done and stop.
    """
    given = dict(locals())
    import shlex
    import sys
    from pathlib import Path

    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError

    chosen = [name for name in ("tasks", "cross", "table") if given[name]]
    if not chosen or (len(chosen) > 1 and set(chosen) != {"tasks", "cross"}):
        what = f"needs one of --tasks, --cross and --table, not {' and '.join(chosen) or 'none'}"
        raise ConfigError(what, where="benchmark", fix="See hilum benchmark --help")
    if out is None and not (table and dry_run):
        raise ConfigError("needs a folder for its runs and its page", where="out", fix="Give --out FOLDER")
    command = f"hilum {shlex.join(as_words(benchmark, given))}"
    if table is not None:
        from hilum.lookup import lookup
        from hilum.tables import TABLES

        paper = lookup(TABLES, table, kind="table")()
        named = dict(part.partition("=")[::2] for part in encoders)
        if wrong := [part for part in encoders if "=" not in part]:
            raise ConfigError(
                f"{wrong[0]!r} has no name", where="encoders", fix="Write NAME=PATH, NAME a row's encoder"
            )
        if dry_run:
            from hilum.tables.check import dry_run as said_of

            if data is None:
                raise ConfigError("needs the folder of the data sets", where="data", fix="Give --data ROOT")
            sys.stdout.write(said_of(paper, data, named))
            return table
        from hilum.evaluation.features import Runner
        from hilum.tables.run import run_table

        assert out is not None
        filled = run_table(
            paper,
            data,
            out,
            encoders=named,
            miniature=miniature,
            resume=(Path(out) / "config.json").is_file(),
            draws=draws,
            runner=Runner(device=device, batch_size=batch_size, workers=workers, quiet=True),
            command=command,
        )
        sys.stdout.write("\n".join([*filled.lines, str(filled.page)]) + "\n")
        return str(filled.folder)
    from hilum.benchmarking.cells import Benchmark, read_encoders
    from hilum.benchmarking.cross import prepare_cross, run_cross
    from hilum.benchmarking.run import describe, prepare, run_benchmark, summary
    from hilum.benchmarking.task_file import TaskFile, read_task_file
    from hilum.benchmarking.work import to_stderr
    from hilum.evaluation.features import Runner

    assert out is not None
    runner = Runner(device=device, batch_size=batch_size, workers=workers, quiet=True)
    file = TaskFile((), {}, {}) if tasks is None else read_task_file(tasks)
    specs = read_encoders(encoders)
    if cross:
        if len(file.tasks) > 1 or len(fractions) > 1:
            what = "takes one protocol and one share of labels"
            raise ConfigError(what, where="cross", fix="Give a task file with one task, and one of --fractions")
        crossed = prepare_cross(
            specs,
            cross,
            out,
            labels=labels,
            label_names=file.label_names,
            task=file.tasks[0] if file.tasks else None,
            fraction=fractions[0] if fractions else 1.0,
            seeds=seeds,
            draws=draws,
            permutations=permutations,
            facts=file.facts,
            runner=runner,
        )
        if dry_run:
            sys.stdout.write("\n".join(describe(crossed.prepared)) + "\n")
            return out
        run_cross(crossed, say=to_stderr, command=command)
        sys.stdout.write((Path(out) / "cross.md").read_text().split("\n## Sets")[0] + f"\n{Path(out) / 'cross.html'}\n")
        return out
    if labels:
        raise ConfigError("is for --cross", where="labels", fix="Name the labels of each task in the task file")
    board = Benchmark(specs, file.tasks, fractions, seeds, draws, permutations, reference, file.facts)
    prepared = prepare(board, out, runner)
    if dry_run:
        sys.stdout.write("\n".join(describe(prepared)) + "\n")
        return out
    results = run_benchmark(prepared, say=to_stderr, command=command)
    sys.stdout.write("\n".join([*summary(results), str(Path(out) / "leaderboard.html")]) + "\n")
    return out
