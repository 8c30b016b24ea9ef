"""Segmentation: masks of findings learned from and judged by, one responsibility a file.

`films` says of which films masks are known, `views` moves film and masks together, `method` is what the loop trains,
`choose` finds thresholds on validation films, `model` is what is stored, `plan` and `run` carry out `hilum adapt
segment`, `judge` measures, `sheets` draws truth and models side by side.
"""
