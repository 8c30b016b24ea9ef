"""What an uncertain label (-1, the reader hedged) counts as: a rule a finding, by hand or under a published name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.schema import ABSENT, PRESENT, UNCERTAIN

UncertainRule = Literal["ones", "zeros", "ignore"]

# Published rules, by name. Where none of a policy's findings is asked for, the rest are ignored, as everywhere.
POLICIES: Final[dict[str, str]] = {
    # MedIM's CheXpert probe (after GLoRIA and MGCA): hedged findings of fluid and collapse are present, the others not.
    "medim-chexpert": "Atelectasis=ones,Edema=ones,Effusion=ones,Cardiomegaly=zeros,Consolidation=zeros",
    "u-ones": "ones",  # CheXpert (arXiv 1901.07031), for every finding
    "u-zeros": "zeros",  # the same; CheXFound's CheXpert labels
    "u-ignore": "ignore",  # the same; our default
}
_VALUE: Final = {"ones": PRESENT, "zeros": ABSENT, "ignore": math.nan}


@dataclass(frozen=True)
class LabelPolicy:
    """What an uncertain label (-1) counts as, for each finding."""

    default: UncertainRule = "ignore"  # for every finding not named below
    rules: dict[str, UncertainRule] = field(default_factory=dict)  # finding -> rule
    name: str | None = None  # of POLICIES; such a policy may know findings that are not asked for

    @classmethod
    def parse(cls, text: str) -> LabelPolicy:
        """Read `"ignore"`, `"Atelectasis=ones,Edema=zeros"`, both (`"zeros,Edema=ones"`), or a name of `POLICIES`.

        Raises:
            ConfigError: a rule other than ones, zeros, ignore, two rules for the same finding, or an unknown name.
        """
        if text in POLICIES:
            return replace(cls.parse(POLICIES[text]), name=text)
        default: UncertainRule | None = None
        rules: dict[str, UncertainRule] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            finding, equals, name = part.partition("=") if "=" in part else ("", "", part)
            rule = _rule(name.strip())
            if (not equals and default is not None) or finding.strip() in rules:
                raise ConfigError(
                    f"two rules for {finding.strip() or 'all findings'} in {text!r}",
                    where="policy",
                    fix="Name each finding once, and the rule for all the others once",
                )
            if equals:
                rules[finding.strip()] = rule
            else:
                default = rule
        return cls(default or "ignore", rules)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LabelPolicy:
        """Read what `to_json` wrote."""
        rules = {finding: _rule(rule) for finding, rule in values["rules"].items()}
        return cls(_rule(values["default"]), rules, values.get("name"))

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON values."""
        named = {} if self.name is None else {"name": self.name}
        return {"default": self.default, "rules": dict(self.rules), **named}

    def rule(self, finding: str) -> UncertainRule:
        """The rule that holds for `finding`."""
        return self.rules.get(finding, self.default)

    def apply(self, labels: NDArray[np.float64], findings: Sequence[str]) -> NDArray[np.float32]:
        """Targets from label cells.

        Args:
            labels: (N, K) of 1, 0, -1 and NaN.
            findings: the K names of the columns.

        Returns:
            (N, K) float32 of 1, 0 and NaN; NaN enters neither loss nor metric.
        """
        if (unknown := set(self.rules) - set(findings)) and self.name is None:
            raise unknown_name(min(unknown), list(findings), kind="finding", where="policy")
        uncertain = np.array([_VALUE[self.rule(finding)] for finding in findings])
        return np.where(labels == UNCERTAIN, uncertain, labels).astype(np.float32)


def _rule(name: str) -> UncertainRule:
    for rule in get_args(UncertainRule):
        if rule == name:
            return rule  # type: ignore[no-any-return]
    known = [*get_args(UncertainRule), *POLICIES]
    raise unknown_name(name, known, kind="rule for uncertain labels", where="policy")
