"""`hilum doctor`: what on this machine, in a data folder, an encoder or a planned run would fail later."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path


def doctor(
    *,
    data: Path | None = None,
    encoder: str | None = None,
    tokenizer: Path | None = None,
    command: str | None = None,
    json: bool = False,
) -> int:
    """Check Python, packages, torch and its device, every image codec, memory and disk, and what else is named.

    Args:
        data: a data folder or manifest to look at as well.
        encoder: a run, encoder folder, released file or Hub name to load, and to send a film and a sentence through.
        tokenizer: the file or folder that reads reports for it.
        command: a planned run in quotes, e.g. "pretrain mae --data D --out R --epochs 100": its first steps are made
            for real, on small batches, to say how many hours, how much memory and disk it takes.
        json: print the checks as JSON.

    Returns:
        The exit code: 1 if something will fail later, else 0.
    """
    from hilum.checkup.examine import examine
    from hilum.commands.arguments import as_words, parse
    from hilum.commands.pretrain import pretrain
    from hilum.errors import ConfigError

    planned = None
    if command is not None:
        from shlex import split

        try:
            said = split(command)
        except ValueError as error:
            raise ConfigError(f"cannot be read ({error})", where="command", fix="Close every quotation mark") from error
        verb, *words = said[1:] if said[1:] and said[0] == "hilum" else said or [""]
        if verb != "pretrain":
            raise ConfigError(f"{verb!r} cannot be estimated", where="command", fix='Give one of "pretrain METHOD ..."')
        planned = parse(pretrain, words)
    checks = []
    for check in examine(
        data, encoder=encoder, tokenizer=tokenizer, planned=planned, words=lambda a: as_words(pretrain, a)
    ):
        checks.append(check)
        if not json:
            sys.stdout.write(f"{check.status:8} {check.name:28} {check.detail}\n")
            sys.stdout.flush()
    if json:
        text = json_format.dumps([vars(check) for check in checks], indent=1)
        sys.stdout.write(text + "\n")
    return 1 if any(check.status == "FAULT" for check in checks) else 0
