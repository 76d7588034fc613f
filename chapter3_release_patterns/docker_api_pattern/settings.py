"""Settings of the Docker API pattern."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlsys.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    model_path: Annotated[Path, Field(description="The model file.")] = Path("models/iris_perceptron/model.onnx")
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
