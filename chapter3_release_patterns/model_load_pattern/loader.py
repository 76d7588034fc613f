"""Fetch the model that a source offers into a directory: an init container, a command, and what the service uses.

SOURCE is a path, a URL of http(s) or of a file system that fsspec knows, or registry+http://host:port/model@alias.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from mlsys import logs
from mlsys.errors import MlsysError, SettingsError

from .fetch import Fetcher
from .settings import Settings
from .source import File, Source, SourceDown
from .store import Store
from .web import Http, Registry

T = TypeVar("T")
OPTIONS = {
    "--source": "model_source",
    "--directory": "model_directory",
    "--sha256": "model_sha256",
    "--verify": "model_verify",
}
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


def source(settings: Settings) -> Source:
    """The source that MODEL_SOURCE names. Raises: SettingsError."""
    url = settings.model_source
    if url.startswith("registry+"):
        if settings.model_sha256:
            raise SettingsError("MODEL_SHA256 pins a file, and a registry's alias says the digest itself: unset one.")
        return Registry(url)
    return (Http if url.startswith(("http://", "https://")) else File)(url, settings.model_sha256)


def patiently(attempt: Callable[[], T], within_s: float, sleep: Callable[[float], None] = time.sleep) -> T:
    """What the attempt returns, tried again while the source is down. Raises: SourceDown after `within_s`."""
    end, pause = time.monotonic() + within_s, _FIRST_PAUSE_S
    while True:
        try:
            return attempt()
        except SourceDown as error:
            jittered = pause * random.uniform(0.5, 1)  # noqa: S311  # pods that started together shall part
            if time.monotonic() + jittered > end:
                raise
            structlog.get_logger("loader").warning("trying again", reason=str(error), in_s=round(jittered, 2))
            sleep(jittered)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def run(settings: Settings) -> Path:
    """Load what is offered, make it the current model of the directory, and return its path. Raises: MlsysError."""
    store = Store(settings.model_directory)
    fetcher = Fetcher(source(settings), store, settings)

    def attempt() -> Path:
        release = fetcher.source.release()
        with store.locked(settings.load_timeout_s):
            sha256 = fetcher.fetch(release)
            store.point_at(release.name, sha256)
        return store.path(sha256)

    return patiently(attempt, settings.load_timeout_s)


def main() -> None:
    """Exit code 1 and one sentence if there is no verified model in the directory at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, field in OPTIONS.items():
        parser.add_argument(option, dest=field, help=f"{Settings.model_fields[field].description} (${field.upper()})")
    given = {field: value for field, value in vars(parser.parse_args()).items() if value is not None}
    try:
        settings = Settings(**given)
        logs.configure(settings)
        path = run(settings)
    except MlsysError as error:
        sys.exit(f"Cannot load the model: {str(error).rstrip('.')}.")
    structlog.get_logger("loader").info("current", path=str(path))


if __name__ == "__main__":
    main()
