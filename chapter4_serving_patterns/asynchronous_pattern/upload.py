"""How a picture gets in: as base64 in JSON, perhaps with a key under which its caller repeats the request."""

from typing import Annotated

import msgspec

from mlsys.app import Service
from mlsys.openapi import example

from . import answers, describe
from .jobs import Jobs

Key = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A request that is repeated with its key, as after a timeout, gets the job of the first.",
    ),
]


class Picture(msgspec.Struct, forbid_unknown_fields=True):
    """A picture's file, in base64."""

    image_data: Annotated[bytes, msgspec.Meta(min_length=1, examples=[describe.PICTURE])]


def add_upload(service: Service, jobs: Jobs, sample: bytes) -> None:
    """The routes that make a job: of the picture that a caller sends, and of the sample."""

    @service.fast_post("/predict", refuses=(409, 429))
    async def predict(picture: Picture, *, idempotency_key: Key = "") -> answers.Accepted:
        """Put a picture into the queue; the answer names the job, and comes before any model is asked."""
        return {"job_id": (await jobs.enqueue(picture.image_data, key=idempotency_key)).id}

    @service.get("/predict/test", responses=example({"job_id": answers.JOB_ID}) | describe.refused(429))
    async def predict_test() -> answers.Accepted:
        """Put the sample into the queue."""
        return {"job_id": (await jobs.enqueue(sample)).id}
