"""Typed settings: what every service reads from the environment, and how a wrong value is reported."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError


class Settings(BaseSettings):
    """Settings of every service; a pattern adds its own in a subclass. Immutable once built.

    Raises: SettingsError naming each variable that has an unusable value, and the value.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", protected_namespaces=(), env_ignore_empty=True)

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port to listen on.")] = 8000
    workers: Annotated[int, Field(ge=1, le=64, description="Worker processes.")] = 1
    log_format: Annotated[
        Literal["auto", "json", "text"], Field(description="Form of the logs; auto is text on a terminal, else JSON.")
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe level that is logged.")
    ] = "info"
    access_log: Annotated[bool, Field(description="Log a line for every request.")] = True
    max_body_bytes: Annotated[int, Field(ge=1, description="Largest request body; above it the answer is 413.")] = 65536
    max_concurrency: Annotated[
        int, Field(ge=1, description="Requests that one worker handles at a time; above it the answer is 503.")
    ] = 256
    request_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds a request may take, its body included; then 408 or 504.")
    ] = 10.0
    drain_timeout_s: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds that requests in progress are given after SIGTERM; at least REQUEST_TIMEOUT_S.",
        ),
    ] = 10

    @model_validator(mode="after")
    def _drain_covers_a_request(self) -> Self:
        if self.drain_timeout_s < self.request_timeout_s:
            raise ValueError(
                f"DRAIN_TIMEOUT_S={self.drain_timeout_s} is shorter than REQUEST_TIMEOUT_S={self.request_timeout_s:g}, "
                "so that a stop would cut requests off"
            )
        return self

    def __init__(self, **values: Any) -> None:  # noqa: ANN401  # whatever the fields take
        try:
            super().__init__(**values)
        except ValidationError as error:
            fields = type(self).model_fields.items()
            secret = {name.upper() for name, field in fields if "Secret" in str(field.annotation)}
            raise SettingsError("; ".join(_sentences(error, secret)) + ".") from None


_CREDENTIALS = re.compile(r"://[^/\s]*@")


def _sentences(error: ValidationError, secret: set[str]) -> list[str]:
    sentences = []
    for problem in error.errors():
        if not problem["loc"]:  # of a validator over several fields, which names them itself
            sentences.append(str(problem["ctx"]["error"]))
            continue
        name = "_".join(str(part) for part in problem["loc"]).upper()
        if problem["type"] == "missing":
            sentences.append(f"{name} is not set, and there is no default")
        else:
            hidden = name in secret or _CREDENTIALS.search(str(problem["input"]))
            value = "(hidden)" if hidden else repr(problem["input"])
            sentences.append(f"{name}={value} is not valid: {problem['msg'][0].lower()}{problem['msg'][1:]}")
    return sentences
