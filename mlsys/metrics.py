"""Prometheus metrics of a service, right also when several worker processes share one port."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics that every service has. A pattern adds its own to `registry`.

    With PROMETHEUS_MULTIPROC_DIR set before prometheus_client is imported (mlsys.serve does it), each worker writes its
    values to files in that directory and `render` adds up those of all workers.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the headers to the end of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Requests in progress.", registry=self.registry, multiprocess_mode="livesum"
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. `route` is the path template, never the caller's path."""
        key = (method, route, status)
        if key not in self._children:
            self._children[key] = (self._requests.labels(method, route, str(status)), self._seconds.labels(route))
        count, duration = self._children[key]
        count.inc()
        duration.observe(seconds)

    def show_model(self, name: str, sha256: str) -> None:
        """Say which model this process serves, as the labels of a gauge that is 1."""
        Gauge(
            "model_info", "The model served.", ["name", "sha256"], registry=self.registry, multiprocess_mode="livemax"
        ).labels(name, sha256).set(1)

    def render(self) -> bytes:
        """The metrics of all workers in the text format."""
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if directory is None:
            return generate_latest(self.registry)
        _sweep(Path(directory))
        everyone = CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone, path=directory)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


def _sweep(directory: Path) -> None:
    """Drop what dead workers said of the present (gauges); what they counted stays counted."""
    for file in directory.glob("gauge_live*.db"):
        try:
            os.kill(int(file.stem.rsplit("_", 1)[1]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)  # another worker may sweep at the same time
