"""Prometheus gauges of the current run, which workers of the API read from its tables."""

from prometheus_client import CollectorRegistry, Gauge

from .progress import Progress


class Gauges:
    """Of the run of the served model that was begun last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"batch_{name}", text, registry=registry, multiprocess_mode="livemostrecent")

        self._rows = gauge("rows", "Rows that the run found to do.")
        self._predicted = gauge("rows_predicted", "Rows of the run that were predicted.")
        self._quarantined = gauge("rows_quarantined", "Rows of the run that could not be predicted.")
        self._remaining = gauge("rows_remaining", "Rows of the run that are left.")
        self._speed = gauge("rows_per_second", "Rows a second, by all processes of the run.")
        self._finished = gauge("finished", "Whether the run is finished.")

    def show(self, run: Progress | None) -> None:
        """Set them; without a run they stay 0."""
        if run is None:
            return
        self._rows.set(run.rows)
        self._predicted.set(run.predicted)
        self._quarantined.set(run.quarantined)
        self._remaining.set(run.remaining)
        self._speed.set(0 if run.finished_at else run.rows_per_s)
        self._finished.set(run.finished_at is not None)
