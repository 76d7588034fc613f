"""One attempt to get what a source offers into the directory: resumed, capped and verified."""

import time
from collections.abc import Iterator

import structlog

from mlsys.errors import ModelError

from .partial import Partial
from .settings import Settings
from .source import Release, Source, SourceDown
from .store import Store


class Fetcher:
    """Gets what a source offers into a store: resumed, capped and verified."""

    def __init__(self, source: Source, store: Store, settings: Settings) -> None:
        self.source = source
        self.store = store
        self._settings = settings
        self._log = structlog.get_logger("loader")

    def fetch(self, release: Release) -> str:
        """Have the model in the store, and return its sha256: one attempt, to be called with the store locked.

        Raises: ModelError if it is not what was promised; DirectoryFailed; SourceDown: then the next attempt goes on
        where this one ended.
        """
        if release.sha256 and self.store.holds(release.sha256):
            return release.sha256
        if release.sha256 is None and self._settings.model_verify == "enforce":
            raise ModelError(
                f"nobody says which sha256 it must have: put {release.name}.sha256 beside it, set MODEL_SHA256, or set "
                "MODEL_VERIFY=warn"
            )
        with Partial.open(self.store, release.tag) as partial:
            # Without a digest nothing would tell that the beginning is of another file, so there is no resuming.
            with self.source.read(release, partial.size if release.sha256 else 0) as stream:
                partial.begin_at(stream.begins)
                self._receive(stream.chunks, partial)
            if release.sha256 not in (None, partial.sha256):
                self._mismatch(release, partial, resumed=stream.begins > 0)
            partial.keep()
        self._log.info(
            "fetched", release=release.name, sha256=partial.sha256, bytes=partial.size, resumed_at=stream.begins
        )
        return partial.sha256

    def _receive(self, chunks: Iterator[bytes], partial: Partial) -> None:
        end = time.monotonic() + self._settings.load_timeout_s
        for chunk in chunks:
            if partial.size + len(chunk) > self._settings.max_model_bytes:
                partial.drop()
                raise ModelError(f"it has more than MAX_MODEL_BYTES={self._settings.max_model_bytes} bytes")
            partial.write(chunk)
            if time.monotonic() > end:
                raise SourceDown(f"{self._settings.load_timeout_s:g} s were not enough; {partial.size} bytes came")

    def _mismatch(self, release: Release, partial: Partial, *, resumed: bool) -> None:
        problem = (
            f"its {partial.size} bytes have the sha256 {partial.sha256[:12]}…, and {release.tag[:12]}… was promised"
        )
        if resumed:  # the beginning may be of another file; the next attempt fetches all of it
            partial.drop()
            raise SourceDown(f"after a resumed download {problem}")
        if self._settings.model_verify == "enforce":
            partial.drop()
            raise ModelError(problem)
        self._log.warning("let through by MODEL_VERIFY=warn", release=release.name, reason=problem)
