"""Optional packages: one function that imports them or says how to install them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from hilum.errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, which comes with the extra `hilum[extra]`.

    Raises:
        MissingDependencyError: it is not installed; the message is the exact install line.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"the package {module.split('.')[0]!r} is needed here and not installed ({error})",
            fix=f"Install it with: pip install 'hilum[{extra}]'",
        ) from error
