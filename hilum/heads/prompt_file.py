"""Sentences that affirm and deny each finding: a small YAML file, read once and checked.

    Effusion:
      positive: [There is a pleural effusion., Pleural fluid is seen.]
      negative: [There is no pleural effusion., The costophrenic angles are clear.]
      terms: [pleural effusion, pleural fluid, effusion]   # optional: words by which a report names the finding

Several sentences of a side are averaged. Files that come with the package are asked for by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from hilum.errors import ConfigError, UserError
from hilum.lookup import unknown_name

SHIPPED: Final = Path(__file__).parent / "prompts"
FIELDS: Final = ("positive", "negative", "terms")


@dataclass(frozen=True)
class FindingPrompts:
    """What is said of one finding."""

    positive: tuple[str, ...]  # at least one sentence
    negative: tuple[str, ...]  # at least one sentence
    terms: tuple[str, ...]  # names of the finding in running text, longest first; may be empty


@dataclass(frozen=True)
class Prompts:
    """All findings of one file."""

    name: str  # as asked for
    findings: Mapping[str, FindingPrompts]
    digest: str  # sha256 of the file

    def __contains__(self, finding: str) -> bool:
        return finding in self.findings

    def __getitem__(self, finding: str) -> FindingPrompts:
        return self.findings[finding]


def shipped_prompts() -> list[str]:
    """Names of the files that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read_prompts(source: str) -> Prompts:
    """Read a prompts file.

    Args:
        source: a name of `shipped_prompts()`, or a path.

    Raises:
        ConfigError: no such file, not YAML, or not of the form above; names the finding and what is wrong with it.
    """
    path = SHIPPED / f"{source}.yaml" if source in shipped_prompts() else Path(source)
    try:
        content = path.read_bytes()
        values = yaml.safe_load(content.decode())
    except FileNotFoundError as error:
        if path.suffix:
            raise ConfigError("no such prompts file", where=path, fix=_shipped_hint()) from error
        raise unknown_name(source, shipped_prompts(), kind="prompts file", where="prompts") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read as YAML ({_first_line(error)})", where=path, fix=_shipped_hint()) from error
    if not isinstance(values, dict) or not values:
        raise ConfigError(
            "holds no finding" if not values else "is not a table of findings",
            where=path,
            fix="Write each finding with its positive and negative sentences; docs/reading_out.md shows one",
        )
    findings = {str(finding): _finding(f"{path}, {finding}", entry) for finding, entry in values.items()}
    return Prompts(source, findings, hashlib.sha256(content).hexdigest())


def _finding(where: str, entry: Any) -> FindingPrompts:
    if not isinstance(entry, dict):
        raise ConfigError("is not a table", where=where, fix="Give it the keys positive and negative")
    if unknown := [key for key in entry if key not in FIELDS]:
        raise unknown_name(str(unknown[0]), list(FIELDS), kind="key", where=where)
    lists = {name: _sentences(f"{where}.{name}", entry.get(name), empty=name == "terms") for name in FIELDS}
    terms = tuple(sorted(lists["terms"], key=len, reverse=True))
    return FindingPrompts(lists["positive"], lists["negative"], terms)


def _sentences(where: str, given: Any, *, empty: bool) -> tuple[str, ...]:
    """A list of texts, none of them blank; one text stands for a list of one."""
    texts = [given] if isinstance(given, str) else given if given is not None else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _fault("is not a list of texts", where)
    if any(not text.strip() for text in texts):
        raise _fault("holds an empty text", where)
    if not texts and not empty:
        raise _fault("has no sentence", where)
    return tuple(" ".join(text.split()) for text in texts)


def _fault(what: str, where: str) -> UserError:
    return ConfigError(what, where=where, fix="Write one or more sentences; quote words that YAML reads as yes or no")


def _shipped_hint() -> str:
    return f"Give a YAML file, or one that comes with the package: {', '.join(shipped_prompts())}"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
