"""What the queue answers, read as what may come from another service: checked, and as errors of our own."""

import uuid
from typing import Any

import msgspec

from mlsys.errors import BadGateway, DeadlineExceeded, NotFound, NotReady, ServiceError


class Taken(msgspec.Struct):
    """What the queue answers to a job."""

    job_id: uuid.UUID


def taken(answer: bytes) -> str:
    """The id of the job that was queued. Raises: BadGateway if there is none."""
    try:
        return str(msgspec.json.decode(answer, type=Taken).job_id)
    except msgspec.DecodeError as error:
        raise BadGateway(f"The queue answered what is no job id ({error}): {answer[:100]!r}.") from error


def require_job(answer: bytes, job_id: uuid.UUID) -> None:
    """Raises: BadGateway if the answer is not about that job."""
    try:
        msgspec.json.decode(answer, type=dict[uuid.UUID, dict[str, Any]])[job_id]
    except (msgspec.DecodeError, KeyError) as error:
        raise BadGateway(f"The queue answered what is not about job {job_id}: {answer[:100]!r}.") from error


def as_service_error(status: int, answer: bytes) -> ServiceError:
    """The error that a caller gets in place of one of the queue's."""
    match status:
        case 404 | 410 | 422:
            return NotFound("There is no such job: it was never queued, is deleted, or its result has expired.")
        case 429 | 503:
            return NotReady("The queue does not answer for its jobs now; try again.")
        case 504:
            return DeadlineExceeded("The queue did not answer in time.")
        case _:
            return BadGateway(f"The queue answered {status}: {answer[:100]!r}.")
