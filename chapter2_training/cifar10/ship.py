"""Put a finished run into pretrained/, from where every machine without an hour to spare copies its models."""

import hashlib
import shutil
from pathlib import Path

import numpy as np

from mlsys import shipped
from mlsys.errors import StartupError

from . import card, plots, publish
from .pipeline import Run

FOLDER = Path(__file__).parent / shipped.FOLDER
SHIPPED = ("cifar10_large", "cifar10_small", "cifar10_small_int8")
PROBABILITIES = "test_probabilities.npz"


def ship(asked: Run, released: publish.Released, folder: Path = FOLDER) -> None:
    """Copy what of the run is shipped into the folder: files, probabilities of test pictures, facts for the card.

    Raises: StartupError if nothing of it is shipped, or if what lies there was measured on other test pictures.
    """
    names = [name for name in released.files if name in SHIPPED]
    if not names:
        raise StartupError(f"Nothing of {asked.name} is shipped: train one of {', '.join(SHIPPED)}.")
    _merge(released.probabilities, names, folder)
    facts = card.load(folder)
    for name in names:
        target = folder / name / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(released.files[name], target)
        document = publish.metadata_of(target)
        facts["models"][name] = {
            "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
            "bytes": target.stat().st_size,
            "metrics": document.metrics,
            "parameters": document.parameters,
        }
    facts["training"][asked.name] = _training(released.history, released.pictures)
    shipped.write_sums(folder)
    card.save(facts, folder)


def _training(history: plots.History, pictures: int) -> dict[str, float]:
    """What the training took. pictures: for each epoch."""
    return {
        "epochs": len(history),
        "pictures": pictures,
        "seconds": round(sum(entry["seconds"] for entry in history)),
        "cpu_seconds": round(sum(entry["cpu_seconds"] for entry in history)),
    }


def _merge(probabilities: Path, names: list[str], folder: Path) -> None:
    """Add the answers of the named models, float16 [n, 10], to those of the models that are there."""
    target = folder / PROBABILITIES
    with np.load(probabilities) as arrays:
        classes, added = arrays["classes"], {name: arrays[name] for name in names}
    there = {}
    if target.exists():
        with np.load(target) as arrays:
            if not np.array_equal(arrays["classes"], classes):
                raise StartupError(f"{target} was measured on other test pictures: remove it, and ship both models.")
            there = {name: arrays[name] for name in arrays.files if name not in (*names, "classes")}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, **there, **added, classes=classes)
