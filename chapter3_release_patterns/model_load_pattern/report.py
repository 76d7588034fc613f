"""What is said of the work on models: log lines and metrics, of all workers."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from .swap import Served


class Report:
    """The one place that the watch tells everything. `trouble` is why nothing can be loaded now, None if it can."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.trouble: str | None = None
        self._log = structlog.get_logger("model")
        self._info = Gauge(
            "model_info",
            "The model served: 1, or 0 for one that was.",
            ["release", "sha256"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._refused = Gauge(
            "model_refused",
            "1 while the model that the source offers is refused.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._swaps = Counter("model_swaps_total", "Models put in place.", registry=registry)
        self._refusals = Counter("model_refusals_total", "Models refused.", registry=registry)
        self._failures = Counter(
            "model_fetch_failures_total", "Times that nothing could be asked or fetched.", registry=registry
        )
        self._refused.set(0)

    def serves(self, new: Served, old: Served | None) -> None:
        """A model has been put in place of another, or of none."""
        if old:
            self._info.labels(old.release, old.sha256).set(0)
        self._info.labels(new.release, new.sha256).set(1)
        self._swaps.inc()
        self._refused.set(0)
        before = {"instead_of": old.release} if old else {}
        self._log.info("model serves", release=new.release, sha256=new.sha256, **before)

    def refuses(self, release: str, reason: str, serving: Served | None) -> None:
        """A model is not taken."""
        self._refusals.inc()
        self._refused.set(1)
        still = {"still_serving": serving.release} if serving else {}
        self._log.error("model refused", release=release, reason=reason, **still)

    def settled(self) -> None:
        """What is offered is what serves."""
        self._refused.set(0)

    def failed(self, reason: str) -> None:
        """Nothing could be asked or fetched: counted every time, and logged once."""
        self._failures.inc()
        if self.trouble is None:
            self._log.warning("no news of models; what serves goes on", reason=reason)
        self.trouble = reason

    def works(self) -> None:
        """It could."""
        if self.trouble is not None:
            self._log.info("news of models again")
        self.trouble = None
