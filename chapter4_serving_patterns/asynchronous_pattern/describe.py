"""What the OpenAPI document and /metadata say of pictures and jobs."""

from typing import Any

from mlsys.openapi import example, refusals

from .answers import DONE, JOB_ID, Metadata

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
"""The smallest PNG there is, in base64: one grey pixel."""
_REFUSALS = {
    404: "There is no such job: it never was, was deleted, or is older than RESULT_TTL_S.",
    429: "The queue is full; Retry-After says when there should be room.",
}


def metadata(model: str) -> Metadata:
    """What goes in, what comes out, and which model the workers ask."""
    return {
        "data_type": "str",
        "data_structure": "(1,1)",
        "data_sample": PICTURE,
        "prediction_type": "str",
        "prediction_structure": "(1,)",
        "prediction_sample": DONE["prediction"],
        "model": {"name": model},
    }


def stream() -> dict[int | str, dict[str, Any]]:
    """The `responses` of the route that sends events."""
    text = f'data: {{"{JOB_ID}": {{"prediction": "", "state": "queued", …}}}}\n\n'
    return example(text, "text/event-stream") | refused(404)


def refused(status: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers this status too, by the error envelope."""
    (envelope,) = refusals(503).values()
    return {status: envelope | {"description": _REFUSALS[status]}}
