"""The Docker engine of the machine that one types at, by its own command line."""

import re
import subprocess
import sys

from mlsys.errors import MlsysError

NAME = "docker_api_pattern"
"""The image, as `make build` calls it; also the container and the service on a machine."""
_SHORT_S = 60
LONG_S = 1800
"""Seconds that an image may take to move."""


class EngineError(MlsysError):
    """The engine did not do what it was asked, or what it was asked cannot be meant."""


def docker(*arguments: str, within_s: float = _SHORT_S) -> str:
    """What `docker …` prints. Raises: EngineError with what it said."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=within_s)
    except FileNotFoundError:
        raise EngineError("there is no docker program here: install Docker.") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"docker {' '.join(arguments)} took more than {within_s:g} s.") from None
    if done.returncode:
        raise EngineError(f"docker {' '.join(arguments)} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def release() -> str:
    """A tag for the image that is built: the first 12 digits of its id, so that no two images share one.

    Raises: EngineError.
    """
    try:
        tag = docker("image", "inspect", "--format", "{{.Id}}", NAME).removeprefix("sha256:")[:12]
    except EngineError as error:
        raise EngineError(f"{error} Is it built? `make build` does.") from None
    docker("tag", NAME, f"{NAME}:{tag}")
    return tag


def named(registry: str, tag: str) -> str:
    """The image's whole name; without a registry it is known to the engine alone. Raises: EngineError."""
    if not re.fullmatch(r"\w[\w.-]{0,127}", tag, re.ASCII):
        raise EngineError(f"TAG={tag!r} is no tag of an image: letters, digits, '_', '.' and '-'.")
    if registry and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", registry):
        raise EngineError(
            f"REGISTRY={registry!r} is not of the form host[:port][/path], in lower case, without https://."
        )
    return f"{registry}/{NAME}:{tag}" if registry else f"{NAME}:{tag}"


def push(registry: str) -> str:
    """Push the image that is built, and return the name under which it can be pulled. Raises: EngineError."""
    if not registry:
        raise EngineError("REGISTRY is not set: make push REGISTRY=registry.example.com/team")
    image = named(registry, release())
    docker("tag", NAME, image)
    docker("push", image, within_s=LONG_S)
    return image


def main() -> None:
    """`python -m ….engine REGISTRY`: push. Exit code 1 and one sentence if that fails."""
    try:
        sys.stdout.write(f"Pushed {push(''.join(sys.argv[1:2]))}\n")
    except EngineError as error:
        sys.exit(f"Cannot push: {error}")


if __name__ == "__main__":
    main()
