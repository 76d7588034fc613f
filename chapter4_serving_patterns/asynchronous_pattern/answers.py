"""What callers are answered, with an example of each."""

from typing import Annotated, NotRequired

import msgspec
from typing_extensions import TypedDict

from .prediction import Prediction
from .records import Job

JOB_ID = "00000000-0000-4000-8000-000000000000"


class Metadata(TypedDict):
    """What goes in, what comes out, and which model the workers ask."""

    data_type: str
    data_structure: str
    data_sample: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: str
    model: dict[str, str]


class Accepted(TypedDict):
    """The name of a job, which whoever has it can ask for."""

    job_id: Annotated[str, msgspec.Meta(examples=[JOB_ID])]


class JobState(TypedDict):
    """A job as its caller sees it. `prediction` is "" until the state is done; `reason` is that of its last failure."""

    prediction: str
    state: str
    attempts: NotRequired[int]
    position: NotRequired[int | None]
    wait_s: NotRequired[float | None]
    probability: NotRequired[float | None]
    reason: NotRequired[str | None]


class Deleted(TypedDict):
    """What is left of a deleted job."""

    state: str


class QueueState(TypedDict):
    """Jobs that are not done, milliseconds that one takes lately, dead letters, and what each worker holds."""

    depth: int
    pace_ms: float | None
    dead: int
    workers: dict[str, int]


DONE: JobState = {
    "prediction": "cat",
    "state": "done",
    "attempts": 1,
    "position": None,
    "wait_s": None,
    "probability": 0.85,
    "reason": None,
}
DELETED: Deleted = {"state": "deleted"}
QUEUE: QueueState = {"depth": 20, "pace_ms": 3.1, "dead": 0, "workers": {"host-4711-00f3": 16}}


def state(job: Job) -> JobState:
    """A job as its caller sees it."""
    told: JobState = {
        "prediction": "",
        "state": job.state,
        "attempts": job.attempts,
        "position": job.position,
        "wait_s": job.wait_s,
        "probability": None,
        "reason": job.reason,
    }
    if job.state != "done":
        return told
    prediction = Prediction.decode(job.result or b"")
    if not prediction:
        return told | {
            "state": "dead",
            "reason": "Its result is damaged, or of another version: send the picture again.",
        }
    return told | {"prediction": prediction.label, "probability": prediction.probability}
