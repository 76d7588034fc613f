"""Secrets of a pattern on this machine: random values, made once, in a file that nobody else may read.

Usage: python -m mlsys.secret DIRECTORY NAME...     makes DIRECTORY/.run/secrets.env, and adds the names that it lacks

Compose takes the file by --env-file, Kubernetes by `kubectl create secret … --from-env-file`, `mlsys.run` by `export`.
"""

import fcntl
import os
import re
import secrets
import sys
from pathlib import Path

from . import folder
from .errors import StartupError

_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def path(directory: Path) -> Path:
    """Where the secrets of the pattern are, if it has any."""
    return directory / ".run" / "secrets.env"


def read(directory: Path) -> dict[str, str]:
    """The pattern's secrets by name. Raises: StartupError if they belong to a user who does not share them."""
    try:
        return dict(_LINE.findall(path(directory).read_text()))
    except (FileNotFoundError, NotADirectoryError):  # what cannot be written there is told by `folder.make_runtime`
        return {}
    except PermissionError:
        raise StartupError(f"{path(directory)} cannot be read: another user made it, run as that one.") from None


def export(directory: Path) -> None:
    """Set the pattern's secrets in this process's environment, but for those that it has. Raises: as `read`."""
    for name, value in read(directory).items():
        os.environ.setdefault(name, value)


def make(directory: Path, names: list[str]) -> None:
    """Give each name a value of 128 random bits, in hexadecimal digits, unless it has one. Raises: StartupError."""
    file = folder.make_runtime(directory) / path(directory).name
    try:
        file.touch(mode=0o600)
        with file.open("r+") as text:
            fcntl.flock(text, fcntl.LOCK_EX)
            known = dict(_LINE.findall(text.read()))
            text.write("".join(f"{name}={secrets.token_hex(16)}\n" for name in names if name not in known))
    except PermissionError:
        raise StartupError(f"{file} cannot be written: another user made it, run as that one.") from None


def main() -> None:
    """Exit code 1 and a sentence if the file cannot be made."""
    try:
        make(Path(sys.argv[1]).resolve(), sys.argv[2:])
    except StartupError as error:
        sys.exit(f"Cannot start: {error}")


if __name__ == "__main__":
    main()
