"""What a model server counts: batches, waiting and computing of each model, as Prometheus metrics and as plain sums."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, Histogram

_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counted:
    """The sums of one model since the server's start. `executions` are batches; times are of requests, in seconds.

    in_progress: requests that wait or are being computed, kept by who asks.
    """

    def __init__(self, batch: Histogram, queued: Histogram, computed: Histogram) -> None:
        self._batch, self._queued, self._computed = batch, queued, computed
        self.requests = self.rows = self.executions = self.in_progress = 0
        self.queue_s = self.compute_s = 0.0

    def observe(self, rows: int, waits: Sequence[float], seconds: float) -> None:
        """Count one batch, see mlsys.server.batcher.Observe. Sums may miss one of two batches that end together."""
        self.requests += len(waits)
        self.rows += rows
        self.executions += 1
        self.queue_s += sum(waits)
        self.compute_s += seconds * len(waits)  # as Triton has it: each has waited for the whole batch
        self._batch.observe(rows)
        self._computed.observe(seconds)
        for wait in waits:
            self._queued.observe(wait)


class Statistics:
    """The metrics of all models of a server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._info = Gauge("model_info", "The models served.", ["name", "sha256"], registry=registry)
        self._in_progress = Gauge(
            "model_requests_in_progress", "Requests that wait or are being computed.", ["model"], registry=registry
        )
        self._batch = Histogram(
            "model_batch_size", "Rows computed together.", ["model"], buckets=_ROWS, registry=registry
        )
        self._queued = Histogram(
            "model_queue_seconds",
            "Time a request waited.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._computed = Histogram(
            "model_compute_seconds", "Time of computing a batch.", ["model"], buckets=_SECONDS, registry=registry
        )
        self._counted: dict[str, Counted] = {}

    def of(self, name: str) -> Counted:
        """What is counted of the model of this name, over all its versions."""
        if name not in self._counted:
            histograms = (self._batch.labels(name), self._queued.labels(name), self._computed.labels(name))
            self._counted[name] = counted = Counted(*histograms)
            self._in_progress.labels(name).set_function(lambda: counted.in_progress)
        return self._counted[name]

    def show(self, loaded: dict[str, str]) -> None:
        """Say which models are served: sha256 by name."""
        self._info.clear()
        for name, sha256 in loaded.items():
            self._info.labels(name, sha256).set(1)
