"""Settings of the loader and of the service, which fetches new models by itself."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mlsys.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """What both read from the environment."""

    model_source: Annotated[
        str,
        Field(
            min_length=1,
            description="Path, http(s) or fsspec URL, or `registry+http://host:port/model@alias`.",
        ),
    ] = "registry+http://127.0.0.1:8010/iris_svc@champion"
    model_directory: Annotated[
        Path, Field(description="Where models are put; loader and service share it, on one machine.")
    ] = Path("chapter3_release_patterns/model_load_pattern/.run/models")
    model_sha256: Annotated[
        str | None,
        Field(pattern=r"^[0-9a-f]{64}$", description="The digest of a path or URL; it goes before `<file>.sha256`."),
    ] = None
    model_verify: Annotated[
        Literal["enforce", "warn"],
        Field(description="What a wrong or unknown sha256 leads to: a refusal or a log line."),
    ] = "enforce"
    max_model_bytes: Annotated[int, Field(ge=1, description="Largest model that is fetched.")] = 2 * 2**30
    load_timeout_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds for one fetch, with all its attempts.")
    ] = 300.0
    model_wait_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds that a service without a model waits for the first one.")
    ] = 60.0
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
    poll_s: Annotated[float, Field(gt=0, le=86400, description="Seconds between two looks at the source, ± 20 %.")] = (
        5.0
    )
    smoke_latency_ms: Annotated[
        float, Field(gt=0, description="Median milliseconds of one prediction, above which a model is refused.")
    ] = 50.0
    smoke_agreement: Annotated[
        float,
        Field(ge=0, le=1, description="Least share of reference rows to which a new model gives the old one's label."),
    ] = 0.5
    retry_refused_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds until a refused model is looked at again.")
    ] = 60.0
