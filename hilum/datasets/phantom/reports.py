"""Two-section reports in varied wording: what is present, what is absent, what has changed.

Every present finding is described with its side and severity; a share of the absent ones is negated; a hedged
finding is called possible. The wording of a study is drawn once and says nothing that is not true of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.findings import Finding
from hilum.datasets.phantom.patient import Patient, Study

# How readers name each finding. The first is used in impressions.
TERMS: dict[str, tuple[str, ...]] = {
    "Atelectasis": ("atelectasis", "subsegmental atelectasis", "linear atelectasis"),
    "Cardiomegaly": ("cardiomegaly", "enlargement of the cardiac silhouette", "an enlarged heart"),
    "Consolidation": ("consolidation", "airspace consolidation", "confluent consolidation"),
    "Edema": ("pulmonary edema", "interstitial edema", "edema with vascular congestion"),
    "Effusion": ("pleural effusion", "pleural fluid", "effusion"),
    "Emphysema": ("emphysema", "hyperinflation with emphysema", "emphysematous change"),
    "Fibrosis": ("fibrosis", "reticular fibrosis", "fibrotic change"),
    "Fracture": ("rib fracture", "displaced rib fracture", "fracture of the ribs"),
    "Hernia": ("hiatal hernia", "hiatus hernia", "retrocardiac hernia"),
    "Mass": ("mass", "lung mass", "mass lesion"),
    "Nodule": ("nodule", "pulmonary nodule", "nodular opacity"),
    "PleuralThickening": ("pleural thickening", "thickening of the pleura", "pleural scarring"),
    "Pneumonia": ("pneumonia", "bronchopneumonia", "patchy opacities of pneumonia"),
    "Pneumothorax": ("pneumothorax", "apical pneumothorax", "pleural air, a pneumothorax"),
    "SupportDevice": ("support device", "indwelling support device", "monitoring and support device"),
}
SIZES = {  # words for low, middle and high severity
    "Atelectasis": ("minor", "moderate", "marked"),
    "Effusion": ("small", "moderate", "large"),
    "Pneumothorax": ("small", "moderate", "large"),
    "Nodule": ("tiny", "small", "sizeable"),
    "Mass": ("sizeable", "large", "bulky"),
}
GRADES = ("mild", "moderate", "severe")
UNGRADED = ("SupportDevice", "Fracture", "Hernia")
PRESENT = (
    "There is {}.",
    "{} is seen.",
    "{} is present.",
    "Note is made of {}.",
    "The film shows {}.",
)
HEDGED = ("Possible {}.", "{} cannot be excluded.", "Findings may represent {}.", "Questionable {}.")
ABSENT_ONE = ("No {}.", "There is no {}.", "No evidence of {}.", "No {} is identified.")
ABSENT_TWO = ("No {} or {}.", "There is no {} or {}.", "No evidence of {} or {}.", "Negative for {} and {}.")
NORMAL = {  # ways to deny a finding without naming it
    "Cardiomegaly": ("The heart is normal in size.", "Heart size is within normal limits."),
    "Consolidation": ("The lungs are free of focal opacity.",),
    "Fracture": ("The bony thorax is intact.", "Osseous structures are unremarkable."),
}
NEGATED = {
    "Pneumothorax": 0.75,
    "Effusion": 0.75,
    "Consolidation": 0.6,
    "Cardiomegaly": 0.6,
    "Edema": 0.4,
    "Fracture": 0.3,
}
NEGATED_ELSE = 0.10
NO_PRIOR = (
    "No prior studies are available for comparison.",
    "Comparison: none.",
    "There is no prior film.",
    "No previous examination for comparison.",
)
NOTHING = (
    "No acute cardiopulmonary process.",
    "No acute abnormality of the chest.",
    "Normal chest radiograph.",
    "Unremarkable examination.",
)
VIEW_WORDS = {("AP",): "Portable AP view of the chest.", ("PA",): "PA view of the chest.",
              ("PA", "LATERAL"): "PA and lateral views of the chest."}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """The text of one study."""

    findings: str
    impression: str

    @property
    def text(self) -> str:
        """Both sections under their headings."""
        return f"FINDINGS: {self.findings} IMPRESSION: {self.impression}"


def report_of(patient: Patient, study: Study) -> Report:
    """Write the report of a study; the same words on every call."""
    rng = stream("report", patient.seed, patient.index, study.index)
    body = [VIEW_WORDS[study.views], _comparison(patient, study, rng)]
    told = [_describe(finding, rng, brief=False) for finding in study.findings]
    body += [told[i] for i in rng.permutation(len(told))]
    body += _negations(study, rng)
    summary = [_describe(finding, rng, brief=True) for finding in study.findings if finding.name != "SupportDevice"]
    if not summary:
        summary = [_pick(rng, NOTHING)]
    numbered = len(summary) > 1 and rng.random() < 0.5
    lines = [f"{i + 1}. {line}" for i, line in enumerate(summary)] if numbered else summary
    return Report(" ".join(line for line in body if line), " ".join(lines))


def _describe(finding: Finding, rng: np.random.Generator, *, brief: bool) -> str:
    """One sentence about one finding that is there."""
    term = TERMS[finding.name][0] if brief else _pick(rng, TERMS[finding.name])
    words = []
    if finding.name not in UNGRADED and not term.startswith("an "):
        grades = SIZES.get(finding.name, GRADES)
        words.append(grades[min(int(finding.severity * 3.0), 2)])
    if finding.side != "none":
        words.append({"both": "bilateral"}.get(finding.side, finding.side))
    zone = {"upper": " in the upper zone", "mid": " in the mid zone", "lower": " in the lower zone"}.get(
        finding.zone, ""
    )
    phrase = f"{' '.join(words)} {term}".strip() + (zone if rng.random() < 0.7 or not brief else "")
    template = _pick(rng, HEDGED) if finding.hedged else ("{}." if brief else _pick(rng, PRESENT))
    if "There is {}" in template or "of {}" in template or "shows {}" in template:
        phrase = phrase if phrase.startswith("an ") or (words == [] and finding.name == "Edema") else _article(phrase)
    return _capital(template.format(phrase))


def _article(phrase: str) -> str:
    """`a` or `an` before things that can be counted; none before the rest."""
    countable = ("effusion", "pneumothorax", "mass", "nodule", "fracture", "hernia", "device", "lesion", "opacity")
    if not any(word in phrase for word in countable) or phrase.startswith("bilateral"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _negations(study: Study, rng: np.random.Generator) -> list[str]:
    """Sentences that deny absent findings, one or two at a time."""
    absent = [name for name in TERMS if study.finding(name) is None]
    denied = [name for name in absent if rng.random() < NEGATED.get(name, NEGATED_ELSE)]
    denied = [denied[i] for i in rng.permutation(len(denied))]
    out = []
    while denied:
        name = denied.pop()
        if name in NORMAL and rng.random() < 0.6 and not (name == "Consolidation" and len(study.findings)):
            out.append(_pick(rng, NORMAL[name]))
        elif denied and rng.random() < 0.55:
            out.append(_pick(rng, ABSENT_TWO).format(_plain(name), _plain(denied.pop())))
        else:
            out.append(_pick(rng, ABSENT_ONE).format(_plain(name)))
    return out


def _plain(name: str) -> str:
    return TERMS[name][0]


def _comparison(patient: Patient, study: Study, rng: np.random.Generator) -> str:
    """A sentence about the last study, or about there being none."""
    if study.index == 0:
        return _pick(rng, NO_PRIOR) if rng.random() < 0.7 else ""
    before = patient.studies[study.index - 1]
    old, new = ({f.name for f in s.findings} for s in (before, study))
    gap = study.day - before.day
    if old == new:
        return f"No relevant change since the prior study {gap} days earlier."
    return f"Compared with the prior study {gap} days earlier, the appearances have changed."


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
