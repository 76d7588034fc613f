"""The lesson: image and model are one release, so a process that finds another model than its image's does not serve.

When the image is built the model's sha256 is written into it. From then on the image's digest vouches for the code and,
through that number, for the model: what was tested is what runs, in every pod, and a rollback brings back both. What
breaks this is never the build but what comes later: a volume mounted over the model's folder, a MODEL_PATH that is set
for an experiment and stays, a file damaged on the node's disk. Each of them leaves a service that answers, and answers
something that nobody released. That is why the process compares, before it answers anybody, and why it asks for the
digest and not for the name: another training run of the same name is another model.
"""

import hashlib
from pathlib import Path

from mlsys.errors import ModelError


def digest(path: Path) -> str:
    """sha256 of a file, as hex. Raises: ModelError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ModelError(f"Model {path} cannot be used: {reason}. The image has one; is MODEL_PATH set?") from error


def require_same(path: Path, found: str, built_with: str) -> None:
    """Refuse the model in `path`, whose sha256 is `found`, in an image that was built with another.

    Raises: ModelError naming both.
    """
    if found != built_with:
        raise ModelError(
            f"Model {path} cannot be used: its sha256 is {found}, and this image was built with {built_with}. "
            "Take away what replaces the image's own model (a volume, MODEL_PATH), or build an image with this one."
        )
