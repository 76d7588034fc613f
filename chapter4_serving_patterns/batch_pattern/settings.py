"""Settings of the API, the job, the scheduler and the loader."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from mlsys.settings import Settings as ServiceSettings

from .plan import Retry


class Settings(ServiceSettings):
    """What they read from the environment."""

    database_url: Annotated[SecretStr, Field(description="PostgreSQL, as postgresql://user:password@host/database.")]
    model_path: Annotated[Path, Field(description="The model file.")] = Path("models/iris_svc/model.onnx")
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
    retry: Annotated[
        Retry,
        Field(description="Rows that the job does again: none, the failed (quarantined) ones, or all of them."),
    ] = "none"
    run_name: Annotated[
        str,
        Field(max_length=128, description="Name of the job's run; the same rows are done again only under another."),
    ] = ""
    chunk_rows: Annotated[int, Field(ge=1, le=100_000, description="Rows that the job does in a transaction.")] = 10_000
    limit_s: Annotated[
        float | None,
        Field(gt=0, description="Seconds after which the job begins no further chunk; as long as it takes."),
    ] = None
    statement_timeout_s: Annotated[
        float,
        Field(ge=0.1, le=3600, description="Seconds of the job's statements; a chunk that takes longer is halved."),
    ] = 30.0
    database_wait_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds for which the job waits for a database that is away.")
    ] = 60.0
    every_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds between two jobs of the scheduler of `make run`.")
    ] = 60.0
    items: Annotated[
        int, Field(ge=0, le=100_000_000, description="Sample items that the loader makes in an empty table.")
    ] = 5000
    look_every_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds between two looks of the API at what its metrics show.")
    ] = 5.0
