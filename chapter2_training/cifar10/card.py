"""The model card: measured facts in, a page for people out. `python -m chapter2_training.cifar10.card` measures anew.

It measures what depends on the machine (latency) and what the large model says of photographs; the rest was measured
when a model was shipped, and lies in card.json.
"""

import json
import platform
import time
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from mlsys import picture, pictures, shipped
from mlsys.model import Model

from . import page, plots

FOLDER = Path(__file__).parent / shipped.FOLDER
Facts = dict[str, Any]
"""What card.json holds: models, training and machine, by name."""
RUNS = 300


def load(folder: Path = FOLDER) -> Facts:
    """The facts so far; empty ones where there is no card yet."""
    path = folder / "card.json"
    facts: Facts = json.loads(path.read_text()) if path.exists() else {"models": {}, "training": {}, "measured": {}}
    return facts


def save(facts: Facts, folder: Path = FOLDER) -> None:
    """Write card.json, the page README.md and its plot."""
    (folder / "card.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").write_text(page.text(facts))
    with np.load(folder / "test_probabilities.npz") as arrays:
        answers = {name: arrays[name] for name in sorted(arrays.files) if name != "classes"}
        plots.save({"calibration": plots.calibration(answers, arrays["classes"])}, folder)


def measure(folder: Path = FOLDER) -> Facts:
    """Latency of each shipped model, and what the large one says of photographs that are not of the data set."""
    models = {path.parent.name: Model.load(path) for path in sorted(folder.glob("*/model.onnx"))}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{cpu_count()} cores, {_processor()}",
        "milliseconds": {name: round(_latency(model), 3) for name, model in models.items()},
        "photographs": {name: _opinion(models["cifar10_large"], name) for name in pictures.NAMES},
    }


def _latency(model: Model) -> float:
    """Median milliseconds of one picture on one thread."""
    taken = []
    sample = np.zeros((1, picture.SIDE, picture.SIDE, 3), dtype=np.uint8)
    for _ in range(RUNS):
        started = time.perf_counter()
        model.predict(sample)
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken))


def _opinion(model: Model, name: str) -> dict[str, str | float]:
    """The label of most probability, and that probability."""
    (probabilities,) = model.predict(picture.to_pixels(pictures.content(name))[np.newaxis])
    best = int(probabilities.argmax())
    return {"label": model.metadata.labels[best], "probability": round(float(probabilities[best]), 3)}


def _processor() -> str:
    """Its name as the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure, and write the card."""
    facts = load()
    facts["measured"] = measure()
    save(facts)


if __name__ == "__main__":
    main()
