"""What a check says, and what all of them come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"
    AWAY = "away"

    @property
    def exit_code(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of one check; where something is wrong it ends with what to do."""

    check: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """A check's finding without its name, as the judges give it."""

    verdict: Verdict
    sentence: str


def ok(sentence: str) -> Opinion:
    return Opinion(Verdict.OK, sentence)


def warn(sentence: str) -> Opinion:
    return Opinion(Verdict.WARN, sentence)


def refuse(sentence: str) -> Opinion:
    return Opinion(Verdict.REFUSE, sentence)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 all well, 1 warnings, 2 refusals, 3 something could not be asked."""
    return max((finding.verdict.exit_code for finding in findings), default=Verdict.OK.exit_code)
