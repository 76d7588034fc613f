"""Settings of the model registry."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from mlsys.settings import Settings as ServiceSettings


class StoreSettings(ServiceSettings):
    """Where the registry keeps what it knows: enough for the programs that write to it without the service."""

    database_url: Annotated[SecretStr, Field(description="PostgreSQL, as postgresql://user:password@host/database.")]
    artefacts_url: Annotated[
        str, Field(min_length=1, description="Where model files are kept: a folder, or a URL that fsspec knows.")
    ] = "chapter2_training/model_db/.run/artefacts"
    inspection_memory_bytes: Annotated[
        int, Field(ge=1 << 28, description="Memory of the process that loads an uploaded file once, to check it.")
    ] = 4 << 30
    inspection_timeout_s: Annotated[float, Field(gt=0, le=3600, description="Seconds that this check may take.")] = 60.0


class Settings(StoreSettings):
    """What the service reads from the environment."""

    registry_token: Annotated[
        SecretStr | None, Field(description="The bearer token without which nothing is written.")
    ] = None
    open_writes: Annotated[bool, Field(description="Let everybody write, without a token.")] = False
    max_artefact_bytes: Annotated[int, Field(ge=1, description="Largest model file; above it the answer is 413.")] = (
        2 << 30
    )
    transfer_timeout_s: Annotated[
        float, Field(gt=0, le=86400, description="Seconds that the upload or download of a model file may take.")
    ] = 900.0

    @model_validator(mode="after")
    def _writes_are_guarded_or_open_on_purpose(self) -> Self:
        token = self.registry_token.get_secret_value() if self.registry_token else ""
        if not self.open_writes and not token.strip():
            raise ValueError(
                "REGISTRY_TOKEN is not set, so that nobody could write: set it, or OPEN_WRITES=true to let everybody"
            )
        if token.strip() != token or not (token.isascii() and token.isprintable()):
            raise ValueError("REGISTRY_TOKEN holds characters, or spaces around it, that no HTTP header can carry")
        return self
