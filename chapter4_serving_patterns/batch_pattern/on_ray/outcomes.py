"""A batch of items in columns, as Ray Data hands it over, to what becomes of each: a prediction, or a reason."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mlsys.model import Model

from ..prediction import MAX_BYTES, Predictor

PREDICTED, QUARANTINED = "predicted", "quarantined"
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("outcome", pa.string()),
        ("label", pa.string()),
        ("probabilities", pa.list_(pa.float32())),
        ("reason", pa.string()),
    ]
)


class Outcomes:
    """Ray makes one in each of its processes, which loads the model there. Raises: ModelError."""

    def __init__(self, model: str) -> None:
        self._predictor = Predictor(Model.load(Path(model)))
        self._labels = np.array(self._predictor.model.metadata.labels)

    def __call__(self, items: pa.Table) -> pa.Table:
        """Items [n] with `id` and `values` to outcomes [n] of SCHEMA, first the good ones."""
        lines = [_line(text) for text in items["values"].to_pylist()]
        found = self._predictor.predict("\n".join(lines), len(lines))
        ids = items["id"].cast(pa.int64())
        bad = list(found.reasons)
        good = pa.table(
            {
                "id": ids.take(pa.array(found.rows)),
                "outcome": pa.repeat(PREDICTED, len(found.rows)),
                "label": self._labels[found.labels],
                "probabilities": pa.array(list(found.probabilities), pa.list_(pa.float32())),
                "reason": pa.nulls(len(found.rows), pa.string()),
            },
            SCHEMA,
        )
        rest = pa.table(
            {
                "id": ids.take(pa.array(bad, pa.int64())),
                "outcome": pa.repeat(QUARANTINED, len(bad)),
                "label": pa.nulls(len(bad), pa.string()),
                "probabilities": pa.nulls(len(bad), pa.list_(pa.float32())),
                "reason": pa.array(list(found.reasons.values()), pa.string()),
            },
            SCHEMA,
        )
        return pa.concat_tables([good, rest])


def _line(text: str | None) -> str:
    """One line of JSON: a line break can only be between its parts, and text that is too long is an empty line."""
    if text is None:
        return "null"
    return text.replace("\n", " ").replace("\r", " ") if len(text.encode()) <= MAX_BYTES else ""
