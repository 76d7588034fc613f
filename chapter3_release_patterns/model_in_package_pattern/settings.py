"""Settings of the model-in-package pattern."""

from typing import Annotated

from pydantic import Field

from mlsys.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """What the service reads from the environment. Which models it serves is not here: those that are installed."""

    default_model: Annotated[
        str, Field(description="The installed model that answers /predict; it must be one of Iris flowers.")
    ] = "iris_svc"
    model_threads: Annotated[int, Field(ge=1, le=64, description="Threads for one inference.")] = 1
