"""Opportunistic risk: from a frozen encoder and follow-up to a score of who has the event earlier, judged by subject.

`endpoints` turns columns into targets, `covariates` joins manifest columns to features, `subjects` reduces the films of
a person to one score, `threshold` parts low from high risk on validation, `model` is what is saved, `plan` and `run`
are `hilum adapt survive`, and `judge` is `hilum evaluate` of such a run.
"""
