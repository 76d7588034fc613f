"""Settings of the prep service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlsys.picture import MAX_PIXELS
from mlsys.settings import Settings as ServiceSettings

PILLOW_TAKES = 89_478_485
"""Pixels above which Pillow takes a picture for a bomb, whatever is set here."""


class Settings(ServiceSettings):
    """What the service reads from the environment."""

    model_target: Annotated[
        str, Field(pattern=r"^[^\s/]+:\d{1,5}$", description="The model server's gRPC address, host:port.")
    ] = "127.0.0.1:50051"
    model_name: Annotated[str, Field(min_length=1, description="The model to ask for.")] = "cifar10_large"
    model_wait_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds that the model server is given to be there at the start.")
    ] = 60.0
    sample_path: Annotated[Path, Field(description="The picture that the test routes predict.")] = Path(
        "models/pictures/cat.png"
    )
    decode_threads: Annotated[int, Field(ge=1, le=64, description="Pictures that one worker decodes at a time.")] = 2
    max_pixels: Annotated[
        int, Field(ge=1, le=PILLOW_TAKES, description="Pixels of the largest picture; above it the answer is 413.")
    ] = MAX_PIXELS
    max_body_bytes: Annotated[int, Field(ge=1, description="Largest request body; above it the answer is 413.")] = (
        8 * 2**20
    )
    max_concurrency: Annotated[
        int, Field(ge=1, description="Requests that one worker handles at a time; above it the answer is 503.")
    ] = 16
