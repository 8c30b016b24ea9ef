"""`hilum convert`: a released file or folder to an encoder of ours, with its own pixels."""

from __future__ import annotations


def convert(
    source: str = "",
    *,
    out: str | None = None,
    layout: str | None = None,
    heads: int | None = None,
    text_heads: int | None = None,
    image_size: int | None = None,
    patch_stride: int | None = None,
    tokenizer: str | None = None,
    text: str | None = None,
    layouts: bool = False,
    json: bool = False,
) -> str | None:
    """Read an encoder that others released, say what was used and what not, and write it as one of ours.

    Pickles are read in a child process that runs none of their code. The preprocessing that the encoder was trained
    behind goes into its config.json, so that no other pixels ever reach it.

    Args:
        source: the file or folder, a Hugging Face Hub name (org/name), or timm:NAME.
        out: folder for the encoder; without it the source is only looked at.
        layout: where the tensors fit several; found out if omitted. --layouts lists them.
        heads: attention heads, which no tensor tells; width / 64 if omitted.
        text_heads: the same of the text encoder.
        image_size: pixels a side, where no position table tells.
        patch_stride: pixels between patches, where they overlap; the patch's side if omitted.
        tokenizer: of the text encoder, which is only read with one: a file, or a folder with it.
        text: folder with the text encoder, where it is not in the file (BioViL).
        layouts: list the layouts that are read, and the encoders of which only numbers are public.
        json: print JSON instead.
    """
    import sys

    from hilum.released.account import account, say, table

    if layouts:
        sys.stdout.write(table(json=json))
        return None
    from hilum.encoder import load
    from hilum.errors import ConfigError
    from hilum.run_folder import RunFolder

    if not source:
        raise ConfigError("needs a file or folder", where="source", fix="Name one, or list the layouts with --layouts")
    if out is not None:
        RunFolder(out)  # refuses a folder that holds something
    encoder = load(
        source,
        layout=layout,
        heads=heads,
        text_heads=text_heads,
        image_size=image_size,
        patch_stride=patch_stride,
        tokenizer=tokenizer,
        text=text,
    )
    sys.stdout.write(say(account(encoder), json=json))
    if out is not None:
        encoder.save(out)
        if not json:
            sys.stdout.write(f"encoder in {out}; next: hilum benchmark, adapt, embed or predict with it\n")
    return out
