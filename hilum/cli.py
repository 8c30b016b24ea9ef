"""`hilum VERB ...`: a table of verbs; only the verb asked for is imported."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.errors import UserError

Table = Mapping[str, tuple[str, str]]  # name -> (module:function, what it does)
VERBS = {
    "doctor": ("hilum.commands.doctor:doctor", "check this machine, its codecs and a data folder"),
    "prepare": (
        "hilum.commands.prepare:prepare",
        "a folder of films -> 8-bit images, manifest and patient-level split",
    ),
    "audit": ("hilum.commands.audit:audit", "find patients and images that leak across splits and sets"),
    "pretrain": ("hilum.commands.pretrain:pretrain", "films, and their reports -> pretrained encoder"),
    "convert": ("hilum.commands.convert:convert", "a released encoder of others -> one of ours, with its own pixels"),
    "embed": ("hilum.commands.embed:embed", "encoder + films -> features on disk that every head can read"),
    "adapt": ("hilum.commands.adapt:adapt", "encoder + labelled films -> classifier, masks, boxes, or risk over time"),
    "evaluate": ("hilum.commands.evaluate:evaluate", "a trained model + test films -> results with intervals"),
    "compare": ("hilum.commands.compare:compare", "is A better than B, by how much, how sure"),
    "benchmark": ("hilum.commands.benchmark:benchmark", "encoders on tasks, sets against sets, or a paper's table"),
    "predict": ("hilum.commands.predict:predict", "a trained model + new films -> scores, masks or boxes, and maps"),
    "zero-shot": ("hilum.commands.zero_shot:zero_shot", "findings from sentences, without a label"),
    "retrieve": ("hilum.commands.retrieve:retrieve", "the reports of a film, the films of a report, similar films"),
    "ground": ("hilum.commands.ground:ground", "where on the film is what a sentence says, or a query looks at"),
    "restore": ("hilum.commands.restore:restore", "masked film and report, restored"),
    "export": (
        "hilum.commands.export:export",
        "an encoder -> timm, transformers, ONNX, or the Hub, with its model card",
    ),
    "info": ("hilum.commands.info:info", "say what a run, checkpoint or data set is"),
    "demo": ("hilum.commands.demo:demo", "the whole road on synthetic films, in minutes"),
}

TASKS = {"adapt": "hilum.commands.adapt:TASKS"}  # verbs whose next word names a task with options of its own

PLACE_ERRORS = {  # what the system says of a place, wherever in the work it says so
    errno.ENOSPC: "Free disk space, then go on with --resume",
    errno.EDQUOT: "The disk quota is used up: free space, then go on with --resume",
    errno.EACCES: "Choose a place you may read and write",
    errno.EROFS: "Choose a place that can be written",
    errno.ENOENT: "Check that the folder exists and can be written",
    errno.EEXIST: "A file stands where a folder should be: choose another place",
    errno.ENOTDIR: "A file stands where a folder should be: choose another place",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EIO: "Check the disk",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; faults of the user end in one line on stderr and a non-zero exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        from hilum import __version__

        sys.stdout.write(f"hilum {__version__}\n")
        return 0
    try:
        return _run(words[0], words[1:])
    except UserError as error:
        sys.stderr.write(f"hilum {words[0]}: {error}\n")
        return error.exit_code
    except BrokenPipeError:  # `hilum info X | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in PLACE_ERRORS:
            raise  # a fault of ours: the traceback is for us
        sys.stderr.write(
            f"hilum {words[0]}: {error.filename or 'a file'}: {error.strerror}. {PLACE_ERRORS[error.errno]}.\n"
        )
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"hilum {words[0]}: interrupted.\n")
        return 130


def _run(verb: str, words: Sequence[str]) -> int:
    from hilum.lookup import lookup

    def chosen(table: Table, name: str, kind: str) -> Any:
        return lookup({name: target for name, (target, _) in table.items()}, name, kind=kind)

    function = chosen(VERBS, verb, "command")
    if verb in TASKS:
        tasks: Table = lookup(TASKS, verb, kind="command")
        if not words or words[0] in ("-h", "--help"):
            sys.stdout.write(_task_overview(verb, tasks))
            return 0
        task, *words = words
        verb, function = f"{verb} {task}", chosen(tasks, task, "task")
    from hilum.commands.arguments import parse

    status = function(**parse(function, words, name=verb))
    return status if isinstance(status, int) and not isinstance(status, bool) else 0


def _overview() -> str:
    title = "usage: hilum VERB [options]\n\nChest X-ray foundation models, from DICOM to honest numbers.\n"
    return f"{title}\n{_rows(VERBS)}\n\n'hilum VERB --help' explains one verb.\n"


def _task_overview(verb: str, tasks: Table) -> str:
    title = f"usage: hilum {verb} TASK [options]\n\n{VERBS[verb][1]}\n"
    return f"{title}\n{_rows(tasks)}\n\n'hilum {verb} TASK --help' explains one task.\n"


def _rows(table: Table) -> str:
    width = max(map(len, table))
    return "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in table.items())


if __name__ == "__main__":
    raise SystemExit(main())
