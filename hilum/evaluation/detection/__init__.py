"""Localization: from an encoder and films with boxes to a detector, and how well it finds what it says.

`truth` decides which films are known and where their boxes lie, `fusion` makes one reading of several, `geometry` and
`views` move films and boxes alike, `method` is what the training loop learns, `model` what is saved, `prior` the
baseline, `plan`, `presets` and `run` are `hilum adapt detect`, and `found`, `judge` and `pictures` its evaluation.
"""
