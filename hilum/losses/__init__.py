"""Losses as free functions of tensors; each has a slow oracle in `tests/oracles/`."""
