"""Settings of the API and of the workers, which share the queue and so its numbers."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from mlsys.settings import Settings as ServiceSettings

from .records import Policy


class Settings(ServiceSettings):
    """What both read from the environment."""

    redis_url: Annotated[SecretStr, Field(description="Redis, as redis://:password@host:port/0.")]
    max_queue: Annotated[
        int, Field(ge=1, le=10_000_000, description="Jobs that are not done yet; above it the answer is 429.")
    ] = 10_000
    lease_ms: Annotated[
        int,
        Field(ge=200, le=3_600_000, description="Milliseconds of silence after which a worker's jobs go to others."),
    ] = 5000
    max_attempts: Annotated[
        int, Field(ge=1, le=100, description="Times that a job is delivered before it becomes a dead letter.")
    ] = 5
    retry_ms: Annotated[
        int,
        Field(
            ge=1,
            le=3_600_000,
            description="Milliseconds before a failed job's second attempt; twice as many each time, up to LEASE_MS.",
        ),
    ] = 500
    result_ttl_s: Annotated[
        int, Field(ge=1, le=31_536_000, description="Seconds for which a result can be fetched.")
    ] = 900
    dead_ttl_s: Annotated[
        int, Field(ge=1, le=31_536_000, description="Seconds for which a dead job can be queued again.")
    ] = 604_800
    max_dead: Annotated[
        int, Field(ge=1, le=1_000_000, description="Dead letters that are kept with their pictures; the oldest go.")
    ] = 500
    max_body_bytes: Annotated[
        int, Field(ge=1, description="Largest request body, 4/3 of the picture's size; above it the answer is 413.")
    ] = 256 * 2**10
    sample_path: Annotated[Path, Field(description="The picture that the test route enqueues.")] = Path(
        "models/pictures/cat.png"
    )
    max_streams: Annotated[
        int, Field(ge=1, description="Event streams that one API process keeps open; above it 503.")
    ] = 100
    stream_s: Annotated[float, Field(gt=0, le=3600, description="Seconds that one event stream lasts at most.")] = 300.0
    check_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds after which a stream looks at its job also without an event.")
    ] = 5.0
    model_target: Annotated[
        str, Field(pattern=r"^[^\s/]+:\d{1,5}$", description="The model server's gRPC address, host:port.")
    ] = "127.0.0.1:8500"
    model_name: Annotated[str, Field(min_length=1, description="The model that the workers ask.")] = "cifar10_large"
    model_timeout_s: Annotated[float, Field(gt=0, le=600, description="Seconds for the prediction of a batch.")] = 10.0
    batch: Annotated[int, Field(ge=1, le=256, description="Jobs that a worker takes at a time, at most.")] = 32
    lanes: Annotated[
        int,
        Field(ge=1, le=16, description="Batches of one worker at a time: one is decoded while another is asked for."),
    ] = 2
    block_ms: Annotated[
        int,
        Field(ge=10, le=1500, description="Milliseconds between two looks of an idle worker for a dead one's jobs."),
    ] = 1000
    worker_grace_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds after SIGTERM for jobs begun; then they are given back.")
    ] = 5.0
    worker_metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of a worker's metrics on HOST; 0 for none.")
    ] = 0

    def policy(self) -> Policy:
        """The numbers of the queue."""
        return Policy(**{name: getattr(self, name) for name in Policy._fields})
