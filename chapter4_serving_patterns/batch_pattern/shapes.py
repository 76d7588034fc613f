"""What the API answers."""

from typing import Any

from typing_extensions import TypedDict

from .progress import Progress


class Item(TypedDict):
    """An item with the served model's prediction: probabilities by class, and the label; null if there is none."""

    id: int
    values: Any
    prediction: list[float] | None
    label: str | None
    created_datetime: str
    updated_datetime: str | None


class Refused(TypedDict):
    """An item that could not be predicted, and why. values: null also if they are too large to be shown."""

    id: int
    values: Any
    reason: str
    created_datetime: str
    updated_datetime: str


class Counts(TypedDict):
    """Items; unpredicted ones include the quarantined."""

    items: int
    predicted: int
    unpredicted: int
    quarantined: int


class RunProgress(TypedDict):
    """The latest run of the served model; run is null if there was none. ends: the forecast, null if nobody works."""

    model: str
    run: int | None
    retry: str | None
    rows: int
    predicted: int
    quarantined: int
    remaining: int
    rows_per_s: float
    started_datetime: str | None
    finished_datetime: str | None
    ends_datetime: str | None


def progress(model: str, found: Progress | None) -> RunProgress:
    """The answer for a run of the model of this version, or for none."""
    if found is None:
        nothing = dict.fromkeys(("run", "retry", "started_datetime", "finished_datetime", "ends_datetime"))
        counts = dict.fromkeys(("rows", "predicted", "quarantined", "remaining"), 0)
        return {"model": model, "rows_per_s": 0.0, **counts, **nothing}  # type: ignore[typeddict-item]  # all keys are there
    return {
        "model": model,
        "run": found.run,
        "retry": found.retry,
        "rows": found.rows,
        "predicted": found.predicted,
        "quarantined": found.quarantined,
        "remaining": found.remaining,
        "rows_per_s": round(found.rows_per_s, 1),
        "started_datetime": found.started_at.isoformat(),
        "finished_datetime": found.finished_at.isoformat() if found.finished_at else None,
        "ends_datetime": found.forecast.isoformat(timespec="seconds") if found.forecast else None,
    }
