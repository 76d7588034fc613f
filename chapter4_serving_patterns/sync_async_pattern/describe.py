"""What the OpenAPI document and /metadata say of pictures and answers."""

from typing import Annotated, Any

import msgspec
from typing_extensions import TypedDict

from mlsys.cifar10 import INPUT, LABELS
from mlsys.openapi import example, refusals

from . import both
from .both import FAST, SLOW

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
"""The smallest PNG there is, in base64: one grey pixel."""
JOB_ID = "1a0f3d5c-7f0b-4c68-9c3e-0a6ce7c3a2b1"


class Picture(msgspec.Struct, forbid_unknown_fields=True):
    """A picture's file, in base64."""

    image_data: Annotated[bytes, msgspec.Meta(min_length=1, examples=[PICTURE])]


class Answer(TypedDict):
    """The fast model's label, with the probability that it is right, and where the slow model's will be.

    better: whether a better answer will come, under `job_id`. why_not: sure, full, late, down or refused.
    """

    job_id: Annotated[str | None, msgspec.Meta(examples=[JOB_ID])]
    cifar10_small: Annotated[str, msgspec.Meta(examples=["cat"])]
    probability: Annotated[float, msgspec.Meta(examples=[0.93])]
    better: Annotated[bool, msgspec.Meta(examples=[True])]
    why_not: Annotated[str | None, msgspec.Meta(examples=[None])]


class Metadata(TypedDict):
    """What goes in, what comes out, and by which models; from which probability on the fast answer is final."""

    data_type: str
    data_structure: str
    data_sample: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: str
    models: dict[str, str]
    cascade_threshold: float


def answer(found: both.Answer) -> Answer:
    """The book's keys, and ours beside them."""
    return {
        "job_id": found.job_id,
        "cifar10_small": found.label,
        "probability": found.probability,
        "better": found.job_id is not None,
        "why_not": found.why_not.value if found.why_not else None,
    }


def metadata(version: str, threshold: float) -> Metadata:
    """What goes in, what comes out, and by which models."""
    return {
        "data_type": "str",
        "data_structure": "(1,1)",
        "data_sample": PICTURE,
        "prediction_type": "str",
        "prediction_structure": "(1,1)",
        "prediction_sample": LABELS[3],
        "models": {"fast": f"{FAST} {version}", "slow": SLOW, "input": f"{INPUT.datatype} {INPUT.shape}"},
        "cascade_threshold": threshold,
    }


Responses = dict[int | str, dict[str, Any]]
(_ENVELOPE,) = refusals(503).values()
WRONG: Responses = {502: _ENVELOPE | {"description": "The fast model's answer cannot be one."}}
_JOB = {"prediction": "cat", "state": "done", "attempts": 1, "position": None, "wait_s": None, "probability": 0.85}
ANSWER: Responses = (
    example({"job_id": JOB_ID, "cifar10_small": "cat", "probability": 0.93, "better": True, "why_not": None}) | WRONG
)
JOB: Responses = example({JOB_ID: _JOB})
EVENTS: Responses = example(
    f'data: {{"{JOB_ID}": {{"prediction": "", "state": "queued", …}}}}\n\n', "text/event-stream"
)
GONE: Responses = {
    404: _ENVELOPE | {"description": "There is no such job: it never was, was deleted, or its result has expired."},
    502: _ENVELOPE | {"description": "The queue's answer cannot be one."},
}
