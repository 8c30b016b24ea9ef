"""From label columns to training targets: uncertain labels by a named policy, blanks, subsets of patients, checks.

A cell is 1 (present), 0 (absent), -1 (the reader hedged) or blank (nobody said). The policy turns every -1 into one of
the other three; a blank, and a -1 that is ignored, becomes NaN and from there on enters neither a loss nor a metric.
"""

from hilum.labels.fractions import Unit, fraction_record, nested_fraction
from hilum.labels.no_finding import with_no_finding
from hilum.labels.policy import POLICIES, LabelPolicy, UncertainRule
from hilum.labels.shots import few_shots
from hilum.labels.targets import Targets, check_both_classes, check_findings, targets_of

__all__ = [
    "POLICIES",
    "LabelPolicy",
    "Targets",
    "UncertainRule",
    "Unit",
    "check_both_classes",
    "check_findings",
    "few_shots",
    "fraction_record",
    "nested_fraction",
    "targets_of",
    "with_no_finding",
]
