"""The answers of this service that are not predictions: what it takes and gives, and which model serves."""

from datetime import UTC, datetime

from typing_extensions import TypedDict

from mlsys import iris_service

from .report import Report
from .swap import Served, Swap

SHA256 = "0" * 64


class Identity(TypedDict):
    """A model. `since` is when it began to serve (ISO 8601, UTC)."""

    release: str
    sha256: str
    since: str


class Refused(TypedDict):
    """A model that is offered and not taken, why, and when that was found (ISO 8601, UTC)."""

    release: str
    reason: str
    at: str


class Release(TypedDict):
    """Which model this worker serves, which one it keeps for a rollback, and what stands against a new one.

    draining: requests that the previous model still answers. trouble: why there is no news from the source.
    """

    serving: Identity
    previous: Identity | None
    draining: int
    refused: Refused | None
    source: str
    trouble: str | None


class Metadata(iris_service.Description):
    """What goes in, what comes out, and which model answers now."""

    model: dict[str, str]


RELEASE = Release(
    serving=Identity(release="1.1.0-iris.0", sha256=SHA256, since="2026-11-21T12:00:00+00:00"),
    previous=None,
    draining=0,
    refused=None,
    source="registry+http://127.0.0.1:8010/iris_svc@champion",
    trouble=None,
)


def metadata(prediction: list[float], name: str, release: str, sha256: str) -> Metadata:
    """The book's keys, and the model's identity."""
    model = {"name": name, "release": release, "sha256": sha256}
    return Metadata(**iris_service.describe(prediction), model=model)


def release(swap: Swap, serving: Served, report: Report, source: str) -> Release:
    """What is so at this moment."""
    previous, refusal = swap.previous, swap.refusal
    return Release(
        serving=_identity(serving),
        previous=_identity(previous) if previous else None,
        draining=previous.in_use if previous else 0,
        refused=Refused(release=refusal.release, reason=refusal.reason, at=_time(refusal.at)) if refusal else None,
        source=source,
        trouble=report.trouble,
    )


def _identity(served: Served) -> Identity:
    return Identity(release=served.release, sha256=served.sha256, since=_time(served.since))


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
