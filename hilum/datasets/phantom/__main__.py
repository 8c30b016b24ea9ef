"""`python -m hilum.datasets.phantom --out DIR --patients N`: write a phantom data set."""

from __future__ import annotations

import argparse
import sys

from hilum.datasets.phantom.write import write_phantom
from hilum.errors import UserError


def main() -> int:
    """Parse the command line, write, say where; a user's fault is one line and its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hilum.datasets.phantom", description=__doc__)
    parser.add_argument("--out", required=True, help="folder to make")
    parser.add_argument("--patients", type=int, required=True, help="how many")
    parser.add_argument("--size", type=int, default=256, help="pixels a side (default 256)")
    parser.add_argument("--form", choices=("png", "dicom"), default="png", help="films + manifest, or archive")
    parser.add_argument("--seed", type=int, default=0, help="names the population (default 0)")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 is this one (default)")
    options = parser.parse_args()
    try:
        out = write_phantom(
            options.out,
            patients=options.patients,
            size=options.size,
            seed=options.seed,
            form=options.form,
            workers=options.workers,
        )
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
