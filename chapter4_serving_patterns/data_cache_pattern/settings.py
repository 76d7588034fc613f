"""Settings of the service."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from mlsys.settings import Settings as ServiceSettings

from .cache import Policy


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    redis_url: Annotated[SecretStr, Field(description="Redis, as redis://:password@host:port/0.")]
    cache_timeout_s: Annotated[
        float, Field(gt=0, le=10, description="Seconds that Redis is given for an answer; then it is done without.")
    ] = 0.25
    cache_pause_s: Annotated[
        float, Field(ge=0, le=3600, description="Seconds for which a Redis that failed is left alone.")
    ] = 1.0
    source: Annotated[
        str, Field(min_length=1, description="The raw items: a folder or an http(s) URL, with an index.json.")
    ] = "chapter4_serving_patterns/data_cache_pattern/.run/items"
    source_timeout_s: Annotated[
        float, Field(gt=0, le=600, description="Seconds that the source is given for one file.")
    ] = 2.0
    source_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the source is given to be there at the start.")
    ] = 30.0
    max_item_bytes: Annotated[int, Field(ge=1, description="Largest file that is taken from the source.")] = 8 * 2**20
    fetches: Annotated[int, Field(ge=1, le=256, description="Items that one worker fetches at a time.")] = 8
    decode_threads: Annotated[int, Field(ge=1, le=64, description="Pictures that one worker decodes at a time.")] = 2
    renew_s: Annotated[float, Field(gt=0, description="Age from which a tensor is renewed in the background.")] = 300.0
    expire_s: Annotated[float, Field(gt=0, description="Age from which a tensor is not used any more.")] = 900.0
    keep_s: Annotated[float, Field(ge=0.001, description="Age at which Redis forgets a tensor.")] = 3600.0
    absent_s: Annotated[
        float, Field(ge=0.001, description="Seconds for which it is believed that an item has no usable picture.")
    ] = 10.0
    expired: Annotated[
        Literal["refetch", "refuse"],
        Field(description="What a caller gets in place of an expired tensor: a new one, after a wait, or a 503."),
    ] = "refetch"
    warm_items: Annotated[
        int, Field(ge=0, description="Items that each worker keeps young, the first of the index; 0 for none.")
    ] = 1000
    warm_every_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds between two looks at the index, and at those items.")
    ] = 30.0
    model_target: Annotated[
        str, Field(pattern=r"^[^\s/]+:\d{1,5}$", description="The model server's gRPC address, host:port.")
    ] = "127.0.0.1:8500"
    model_name: Annotated[str, Field(min_length=1, description="The model to ask for.")] = "cifar10_large"
    model_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the model server is given to be there at the start.")
    ] = 60.0

    @model_validator(mode="after")
    def _ages_ascend(self) -> Self:
        if not self.renew_s <= self.expire_s <= self.keep_s:
            ages = f"RENEW_S={self.renew_s:g}, EXPIRE_S={self.expire_s:g} and KEEP_S={self.keep_s:g}"
            raise ValueError(
                f"{ages} do not ascend, so that a tensor would be forgotten or refused before it is renewed"
            )
        return self

    @property
    def policy(self) -> Policy:
        """The settings that decide what becomes of a tensor of some age."""
        return Policy(
            renew_s=self.renew_s,
            expire_s=self.expire_s,
            keep_s=self.keep_s,
            absent_s=self.absent_s,
            pause_s=self.cache_pause_s,
            refuse_expired=self.expired == "refuse",
            fetches=self.fetches,
        )
