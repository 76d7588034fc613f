"""Settings of the service."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from mlsys.settings import Settings as ServiceSettings

_TARGET = r"^[^\s/]+:\d{1,5}$"


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    fast_target: Annotated[
        str, Field(pattern=_TARGET, description="gRPC address of the model server with cifar10_small, host:port.")
    ] = "127.0.0.1:8500"
    slow_target: Annotated[
        str, Field(pattern=_TARGET, description="That of the one with cifar10_large, which /health/all looks at.")
    ] = "127.0.0.1:8510"
    queue_url: Annotated[
        str, Field(pattern=r"^https?://[^\s/@]+$", description="The asynchronous pattern's API, http://host:port.")
    ] = "http://127.0.0.1:8010"
    cascade_threshold: Annotated[
        float,
        Field(ge=0, le=1, description="A fast answer of this probability is final; 1: the slow model is always asked."),
    ] = 1.0
    fast_timeout_s: Annotated[float, Field(gt=0, le=60, description="Seconds until the fast answer must be there.")] = (
        1.0
    )
    queue_timeout_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds after which the fast answer does not wait for the queue.")
    ] = 0.25
    model_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the fast model is given to be there at the start.")
    ] = 60.0
    queue_wait_s: Annotated[
        float, Field(ge=0, le=3600, description="Seconds that the start waits for the queue, and then goes without.")
    ] = 20.0
    sample_path: Annotated[Path, Field(description="The picture that the test route predicts.")] = Path(
        "models/pictures/cat.png"
    )
    decode_threads: Annotated[int, Field(ge=1, le=64, description="Pictures that one worker decodes at a time.")] = 2
    max_streams: Annotated[
        int, Field(ge=1, description="Event streams that one worker keeps open; above it the answer is 503.")
    ] = 32
    stream_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds after which an event stream ends; the client may come again.")
    ] = 300.0
    max_body_bytes: Annotated[
        int, Field(ge=1, description="Largest request body; above it the answer is 413. The queue takes as much.")
    ] = 256 * 2**10
    max_concurrency: Annotated[
        int, Field(ge=1, description="Requests that one worker handles at a time; above it the answer is 503.")
    ] = 64

    @model_validator(mode="after")
    def _streams_leave_room(self) -> Self:
        if self.max_streams >= self.max_concurrency:
            raise ValueError(
                f"MAX_STREAMS={self.max_streams} is not less than MAX_CONCURRENCY={self.max_concurrency}, so that open "
                "streams would leave no room for predictions"
            )
        return self
