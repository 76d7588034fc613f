"""Settings of the prediction cache pattern."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from mlsys.settings import Settings as ServiceSettings

from .cache import Policy

_ROUND_TRIPS_S = 1.0
"""What a claim lasts longer than the computation that it is for."""


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    redis_url: Annotated[SecretStr, Field(description="Redis, as redis://:password@host:port/0.")]
    cache_namespace: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="Beginning of the keys: services may share a Redis.")
    ] = "cifar10"
    fresh_s: Annotated[float, Field(gt=0, le=30 * 86400, description="Seconds that a prediction is a hit.")] = 3600.0
    stale_s: Annotated[
        float, Field(ge=0, le=30 * 86400, description="Seconds that it is then answered while a new one is made.")
    ] = 600.0
    refused_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that a picture is known as damaged, or as none.")
    ] = 10.0
    redis_budget_ms: Annotated[
        float, Field(gt=0, le=1000, description="Milliseconds that one answer of Redis is waited for.")
    ] = 20.0
    redis_rest_s: Annotated[
        float, Field(gt=0, le=60, description="Longest time for which a Redis that failed is not asked, in seconds.")
    ] = 1.0
    near_entries: Annotated[
        int, Field(ge=0, le=10**6, description="Predictions that a process keeps itself, beside Redis; 0: none.")
    ] = 0
    near_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds that it keeps them: so late it hears of an invalidation.")
    ] = 1.0
    model_target: Annotated[
        str, Field(pattern=r"^[^\s/]+:\d{1,5}$", description="The model server's gRPC address, host:port.")
    ] = "127.0.0.1:8500"
    model_name: Annotated[str, Field(min_length=1, description="The model to ask for.")] = "cifar10_large"
    model_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds for one prediction, whoever waits for it.")
    ] = 5.0
    model_poll_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds between two looks at which model the server has.")
    ] = 1.0
    model_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the model server is given to be there at the start.")
    ] = 60.0
    pictures_path: Annotated[Path, Field(description="Folder of the photographs that the items are made of.")] = Path(
        "models/pictures"
    )
    cache_token: Annotated[
        SecretStr | None, Field(description="The bearer token without which nothing is invalidated.")
    ] = None
    max_body_bytes: Annotated[int, Field(ge=1, description="Largest request body; above it the answer is 413.")] = (
        2 * 2**20
    )

    def policy(self) -> Policy:
        """What the cache is told."""
        return Policy(self.fresh_s, self.stale_s, self.refused_s, claim_s=self.model_timeout_s + _ROUND_TRIPS_S)
