"""An encoder to the Hugging Face Hub: first the whole folder here, then its upload; private unless said otherwise.

Weights learned from patients' films are not shared by accident: without a licence and a statement of the data nothing
is uploaded, a repository is made private, and one that is public already is refused unless publishing was asked for.
Nothing but the folder is sent.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hilum.encoder import Encoder
from hilum.errors import ConfigError, UserError
from hilum.exporting.formats import Exported, export_encoder
from hilum.exporting.measured import measured
from hilum.model_card import Statement

NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Pushed:
    """What was uploaded, or would be."""

    exported: Exported
    repo: str
    private: bool
    url: str | None  # None: nothing was sent

    def lines(self) -> list[str]:
        """What a person is told."""
        how = "private" if self.private else "PUBLIC"
        done = f"uploaded to {self.url} ({how})" if self.url else f"would be uploaded to {self.repo} ({how}); not sent"
        return [*self.exported.lines(), done]


def push(
    encoder: Encoder,
    repo: str,
    *,
    format: str = "hilum",  # what the command line calls it
    out: str | Path | None = None,
    statement: Statement,
    private: bool = True,
    token: str | None = None,
    results: Sequence[str | Path] = (),
    made: dict[str, str] | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Write an encoder in one of the formats and upload the folder.

    Args:
        encoder: any that the format can hold.
        repo: ORGANISATION/NAME on the Hub; made where there is none.
        format: see `exporting.formats.FORMATS`.
        out: where the folder stays, new or empty; nowhere where omitted.
        statement: licence and data; both are needed.
        private: who may see a repository that is made; one that is public already is refused while this holds.
        token: of the Hub; the one stored by `hf auth login` where omitted.
        results: judged folders whose numbers go into the card.
        made: how the folder is made, for the card.
        dry_run: write the folder and stop; `out` is needed.

    Raises:
        ConfigError: no such name for a repository, no licence, no statement of the data, or what `export_encoder` says.
        UserError: the Hub refused, was not reached, or the repository is public.
    """
    check_statement(repo, statement)
    if dry_run and out is None:
        raise ConfigError("a dry run leaves a folder", where="--out", fix="Say where it may lie")
    numbers = measured(results, encoder)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "upload" if out is None else Path(out)
        exported = export_encoder(encoder, format, folder, statement=statement, measured=numbers, made=made, place=repo)
        url = None if dry_run else _upload(folder, repo, private=private, token=token)
    return Pushed(exported, repo, private, url)


def check_statement(repo: str, statement: Statement) -> None:
    """Refuse what must not be uploaded.

    Raises:
        ConfigError: the repository has no proper name, or licence or data are not stated.
    """
    if not NAME.fullmatch(repo):
        raise ConfigError(f"{repo!r} names no repository", where="--repo", fix="Give ORGANISATION/NAME")
    for option, said, fix in (
        ("--licence", statement.licence, "Give an id of the Hub, e.g. --licence cc-by-nc-4.0, or words"),
        ("--data", statement.data, "Say which films it learned from and under which terms they may be shared"),
    ):
        if not (said or "").strip():
            what = "is not stated, and weights made from patients' films are not uploaded without it"
            raise ConfigError(what, where=option, fix=fix)


def _upload(folder: Path, repo: str, *, private: bool, token: str | None) -> str:
    """Make the repository where there is none and upload the folder; its address."""
    from huggingface_hub import HfApi  # only here is the network touched

    api: Any = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.repo_info(repo).private:
            raise UserError(
                f"{repo} is public", where="--repo", fix="Give another name, or --public if the world may have it"
            )
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Encoder exported by Hilum")
    except (OSError, ValueError) as error:  # what huggingface_hub raises are these: no token, no right, no network
        raise UserError(
            f"the upload failed ({' '.join(str(error).split())[:300]})",
            where=repo,
            fix="Log in with: hf auth login; or give --token, and check the name and your rights",
        ) from error
    return f"https://huggingface.co/{repo}"
