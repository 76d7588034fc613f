"""The job over files: a pass over all rows below one place, written below another.

Usage: python -m chapter4_serving_patterns.batch_pattern.on_ray --input URL --output URL [--address auto]

A URL is a directory or a bucket (s3://…, gs://…). The input's files have the columns `id` (integer) and `values` (the
JSON of an item, as text). A run writes to <output>/<fingerprint>/: predictions below outcome=predicted, bad rows with
their reason below outcome=quarantined, and at last _run.json, which readers of Parquet pass over. Where that is,
nothing is done; what a killed run has left without it is removed, and the run begins anew.
Exit codes: 0 all is done, or was before; 1 it cannot begin, or cannot end; 2 wrong arguments.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from mlsys import logs
from mlsys.errors import MlsysError
from mlsys.model import Model
from mlsys.settings import Settings

from ..prediction import code
from .files import COLUMNS, Place, fingerprint
from .outcomes import PREDICTED, QUARANTINED, Outcomes

_DONE = "_run.json"
_ROWS = 10_000


def run(model: Model, source: Place, target: Place, *, workers: int, address: str | None = None) -> dict[str, object]:
    """Predict all rows below `source`, unless that was done: what is, or was, in _run.json.

    workers: processes that each have the model. address: of a cluster; without, Ray is started here meanwhile.
    Raises: StartupError if there is nothing that can be read, and Ray's errors.
    """
    files = source.parquet()
    name = fingerprint(model, files)
    if (found := target.read(f"{name}/{_DONE}")) is not None:
        done: dict[str, object] = json.loads(found)
        return done
    target.remove(name)  # of a run that was killed
    import ray.data  # here, so that the module can be looked at without it

    began = time.monotonic()
    with _cluster(address):
        ray.data.DataContext.get_current().enable_progress_bars = False
        items = ray.data.read_parquet([file.path for file in files], filesystem=source.filesystem, columns=[*COLUMNS])
        items.map_batches(
            Outcomes,
            fn_constructor_args=(str(model.path.resolve()),),
            batch_size=_ROWS,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
        ).write_parquet(target.at(name), filesystem=target.filesystem, partition_cols=["outcome"])
    facts: dict[str, object] = {
        "model_sha256": model.sha256,
        "code_sha256": code(),
        "predicted": target.rows(f"{name}/outcome={PREDICTED}"),
        "quarantined": target.rows(f"{name}/outcome={QUARANTINED}"),
        "seconds": round(time.monotonic() - began, 1),
        "folder": target.at(name),
    }
    target.write(f"{name}/{_DONE}", json.dumps(facts).encode())
    return facts


def _cluster(address: str | None) -> Any:  # noqa: ANN401  # a context manager; Ray is not typed
    import ray

    if address:
        return ray.init(address, log_to_driver=False)
    return ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False)


def main() -> int:
    """The exit code, as above."""
    command = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__.partition("\n")[0])
    command.add_argument("--input", required=True, help="directory or bucket of Parquet files with id and values")
    command.add_argument("--output", required=True, help="directory or bucket of the predictions")
    command.add_argument("--model", type=Path, default=Path("models/iris_svc/model.onnx"), help="the model file")
    command.add_argument("--workers", type=int, default=1, help="processes that predict (1)")
    command.add_argument("--address", help="of a Ray cluster; without, one is started here for the run")
    given = command.parse_args()
    logs.configure(Settings())
    try:
        from ray.exceptions import RayError
    except ImportError:
        sys.stderr.write("Cannot do it: Ray is not installed; `python3 -m mk.bootstrap ray` at the root does that.\n")
        return 1
    try:
        model = Model.load(given.model)
        source, target = Place.of("input", given.input), Place.of("output", given.output)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its maker unless told not to
        done = run(model, source, target, workers=given.workers, address=given.address)
    except (MlsysError, OSError, RayError, ConnectionError) as error:
        sys.stderr.write(f"Cannot do it: {error}\n")
        return 1
    structlog.get_logger("batch").info("done", **done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
