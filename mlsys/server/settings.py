"""What the environment configures; `python -m mlsys.server --help` has options for the same."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from .. import settings
from .batcher import Limits

MaxBatch = Annotated[int, Field(ge=1, le=4096, description="Rows that are computed together; 1: no batching.")]
MaxDelay = Annotated[
    float,
    Field(ge=0, le=1000, description="Milliseconds a request is held back for others while the model is at work."),
]
MaxQueue = Annotated[int, Field(ge=1, le=65536, description="Requests that may wait for one model; above it 503.")]


class ModelOptions(BaseModel):
    """What one model has otherwise than the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_batch: MaxBatch | None = None
    max_delay_ms: MaxDelay | None = None
    max_queue: MaxQueue | None = None


def _paths(value: object) -> object:
    return value.split(":") if isinstance(value, str) else value


def _options(value: object) -> object:
    """Words of the form `name.option=value` to {name: {option: value}}."""
    if not isinstance(value, str):
        return value
    found: dict[str, dict[str, str]] = {}
    for word in value.split():
        place, equals, setting = word.partition("=")
        name, dot, option = place.rpartition(".")
        if not (equals and dot):
            raise ValueError(f"{word!r} is not of the form name.option=value")
        found.setdefault(name, {})[option] = setting
    return found


class Settings(settings.Settings):
    """Settings of the model server."""

    models: Annotated[
        tuple[Path, ...],
        NoDecode,
        BeforeValidator(_paths),
        Field(min_length=1, description="Folders that hold a model.onnx, or folders of such; `:` between several."),
    ] = (Path("models"),)
    port: Annotated[int, Field(ge=1, le=65535, description="Port of REST.")] = 8501
    grpc_port: Annotated[int, Field(ge=1, le=65535, description="Port of gRPC.")] = 8500
    workers: Annotated[int, Field(ge=1, le=64, description="Inference threads: inferences that run at a time.")] = 1
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 2
    max_batch: MaxBatch = 16
    max_delay_ms: MaxDelay = 0.0
    max_queue: MaxQueue = 128
    model_options: Annotated[
        dict[str, ModelOptions],
        NoDecode,
        BeforeValidator(_options),
        Field(
            default_factory=dict,
            description="Of one model, `name.max_batch=8`; space between several. Also max_delay_ms and max_queue.",
        ),
    ]
    max_body_bytes: Annotated[
        int, Field(ge=1, le=2**31 - 1, description="Largest request; above it 413, in gRPC RESOURCE_EXHAUSTED.")
    ] = 4 * 2**20
    max_concurrency: Annotated[
        int, Field(ge=1, description="Requests in progress over REST, and over gRPC; above it 503, UNAVAILABLE.")
    ] = 256

    def limits(self, name: str) -> Limits:
        """What holds for the model of this name."""
        own = self.model_options.get(name, ModelOptions())
        delay_ms = self.max_delay_ms if own.max_delay_ms is None else own.max_delay_ms
        return Limits(own.max_batch or self.max_batch, delay_ms / 1000, own.max_queue or self.max_queue)
