"""Two versions side by side: what is the same and what differs, line by line."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .plot import number
from .rendering import shown

ORIGIN = ("data_sha256", "code_revision", "sha256", "size_bytes")


class Line(NamedTuple):
    """One fact of both. `verdict` is better or worse where it is known which way a metric should go, else empty."""

    name: str
    left: str
    right: str
    differs: bool
    change: str = ""
    verdict: str = ""


def metrics(left: Mapping[str, float], right: Mapping[str, float], higher_is_better: Mapping[str, bool]) -> list[Line]:
    """The metrics of either."""
    lines = []
    for name in _names(left, right):
        a, b = left.get(name), right.get(name)
        change = verdict = ""
        if a is not None and b is not None and a != b:
            change = f"{'+' if b > a else '−'}{number(abs(b - a))}"
            if name in higher_is_better:
                verdict = "better" if (b > a) == higher_is_better[name] else "worse"
        lines.append(Line(name, _given(left, name), _given(right, name), a != b, change, verdict))
    return lines


def facts(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Line]:
    """Parameters, or other values without an order: what differs first."""
    lines = []
    for name in _names(left, right):
        a, b = _given(left, name), _given(right, name)
        # By text too, for to Python true is 1.
        lines.append(Line(name, a, b, a != b or left.get(name) != right.get(name)))
    return sorted(lines, key=lambda line: not line.differs)


def origin(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Line]:
    """What each was made of, and the file that it is."""
    return [Line(name, _known(left[name]), _known(right[name]), left[name] != right[name]) for name in ORIGIN]


def _names(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    return sorted({*left, *right})


def _given(values: Mapping[str, Any], name: str) -> str:
    return shown(values[name]) if name in values else "not given"


def _known(value: object) -> str:
    return "not given" if value is None else shown(value)
