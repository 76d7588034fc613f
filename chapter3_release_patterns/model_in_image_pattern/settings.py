"""Settings of the model-in-image pattern."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mlsys.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    # Else an empty MODEL_SHA256, as of a build without the argument, would mean that there is nothing to compare.
    model_config = SettingsConfigDict(env_ignore_empty=False)

    model_path: Annotated[Path, Field(description="The model file.")] = Path("models/iris_svc/model.onnx")
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
    model_sha256: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{64}$",
            description="Hex digest of the only model to serve, set by the image's build; without an image, any is.",
        ),
    ] = None
