"""What goes into the queue of jobs and comes out of it."""

from typing import NamedTuple

from mlsys.errors import TooManyRequests


class Policy(NamedTuple):
    """The numbers of the queue; the settings of the same names say what they are."""

    max_queue: int
    lease_ms: int
    max_attempts: int
    retry_ms: int
    result_ttl_s: int
    dead_ttl_s: int
    max_dead: int


class Enqueued(NamedTuple):
    """The id of a job, and whether it is a new one."""

    id: str
    new: bool


class Job(NamedTuple):
    """A job as callers see it.

    state: queued, running, done or dead. attempts: how often it was delivered. position: jobs before it that are not
    done. wait_s: seconds until it is done, an estimate; None while there is none. reason: of the last failure.
    """

    state: str
    attempts: int
    position: int | None
    wait_s: float | None
    result: bytes | None
    reason: str | None


class Lease(NamedTuple):
    """A job that a consumer has for a while. `attempt` is 1 the first time that the job is delivered."""

    id: str
    entry: str
    picture: bytes
    attempt: int
    consumer: str


class Dead(NamedTuple):
    """A dead letter, of a moment of Unix time. The id is empty where an entry of the stream named no job."""

    id: str
    reason: str
    attempts: str
    at_ms: int


class Queue(NamedTuple):
    """Jobs not done, milliseconds that one takes lately (None before the first), dead letters, jobs by consumer."""

    depth: int
    pace_ms: float | None
    dead: int
    workers: list[tuple[str, int]]


class Full(TooManyRequests):
    """As many jobs as are allowed are not done yet; `details` are their number and the seconds until they will be."""

    def __init__(self, depth: int, wait_s: float | None) -> None:
        message = f"The queue is full: {depth} jobs are not done yet. Try again later."
        super().__init__(message, retry_after_s=(wait_s or 0) / 10, details={"depth": depth, "wait_s": wait_s})


_ENDLESS_MS = 1e12


def pace_ms(done: bytes | None, ms: bytes | None) -> float | None:
    """Milliseconds that a job takes lately, from what finish.lua keeps: jobs done, and the time that they took."""
    try:
        pace = float(ms) / float(done) if done and ms else -1
    except (ValueError, ZeroDivisionError):  # damaged: there is no estimate until the next job is done
        return None
    return pace if 0 <= pace < _ENDLESS_MS else None  # neither is what is no number


def wait_s(jobs: int | None, pace: float | None) -> float | None:
    """Seconds until so many jobs are done, if all goes on as it did lately."""
    return None if jobs is None or pace is None else round(jobs * pace / 1000, 3)
