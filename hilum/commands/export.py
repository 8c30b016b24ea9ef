"""`hilum export`: an encoder in the format of others, or on the Hugging Face Hub."""

from __future__ import annotations

from typing import Literal


def export(
    encoder: str,
    *,
    to: Literal["hilum", "timm", "huggingface", "onnx", "hub"],
    out: str | None = None,
    repo: str | None = None,
    format: Literal["hilum", "timm", "huggingface", "onnx"] | None = None,
    results: tuple[str, ...] = (),
    licence: str | None = None,
    data: str | None = None,
    title: str | None = None,
    public: bool = False,
    token: str | None = None,
    dry_run: bool = False,
) -> str | None:
    """Write an encoder so that others can load it: weights, preprocessing record and model card in one folder.

    Args:
        encoder: a pretraining run, an encoder folder, a released file, or an adapted run (its encoder alone).
        to: hilum (ours), timm, huggingface (transformers' AutoModel), onnx, or hub (uploaded to the Hugging Face Hub).
        out: folder, new or empty; may be left out for the hub.
        repo: hub: ORGANISATION/NAME.
        format: hub: what is uploaded; ours if omitted.
        results: judged folders (or runs with one) whose numbers, with intervals, go into the model card.
        licence: of the weights, for the card: an id of the Hub such as cc-by-nc-4.0, or words; needed for the hub.
        data: which films it learned from and under which terms, for the card; needed for the hub.
        title: of the card.
        public: hub: let the world see the repository; private if omitted.
        token: hub: access token; the stored one if omitted.
        dry_run: hub: write the folder, say what would be uploaded, and send nothing.
    """
    given = {**locals(), "token": None}  # the card tells the command, and no secret
    import shlex
    import sys

    from hilum import __version__
    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError

    if to == "hub":
        if repo is None:
            raise ConfigError("is needed for the hub", where="--repo", fix="Give ORGANISATION/NAME")
    else:
        if out is None:
            raise ConfigError("is needed", where="--out", fix="Name a new folder")
        told = {"--repo": repo, "--format": format, "--public": public, "--token": token, "--dry-run": dry_run}
        if foreign := next((name for name, value in told.items() if value), None):
            raise ConfigError(f"says nothing to the format {to}", where=foreign, fix="Leave it out, or use --to hub")

    from hilum.exporting.adapted import encoder_of
    from hilum.exporting.formats import export_encoder, refuse_full
    from hilum.exporting.hub import check_statement, push
    from hilum.exporting.measured import measured
    from hilum.exporting.places import without_places
    from hilum.model_card import Statement

    statement = Statement(licence, data, title)
    if repo is not None:
        check_statement(repo, statement)
    if out is not None:
        from pathlib import Path

        refuse_full(Path(out))  # before minutes of loading
    loaded, said = encoder_of(encoder)
    command = without_places(f"hilum {shlex.join(as_words(export, given))}")
    made = {"command": command, "hilum": __version__}
    if repo is not None:
        pushed = push(
            loaded,
            repo,
            format=format or "hilum",
            out=out,
            statement=statement,
            private=not public,
            token=token,
            results=results,
            made=made,
            dry_run=dry_run,
        )
        lines, place = pushed.lines(), pushed.url or out
    else:
        exported = export_encoder(
            loaded, to, out or "", statement=statement, measured=measured(results, loaded), made=made
        )
        lines, place = exported.lines(), out
    sys.stdout.write("\n".join([*said, *lines]) + "\n")
    return place
