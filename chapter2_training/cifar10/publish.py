"""What becomes of a finished run: model files, plots, a run in MLflow, and what the repository ships."""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
from matplotlib.figure import Figure

from mlsys import export, metadata, network, shipped, tracking
from mlsys.metadata import Metadata

from . import checkpoint, pipeline, plots, quantise
from .pipeline import Run


@dataclass(frozen=True)
class Released:
    """What a run gave: files by name, its history, pictures for each epoch, and the answers to the test pictures.

    refusal: why there is no 8-bit variant, if there is none.
    """

    files: dict[str, Path]
    history: plots.History
    pictures: int
    probabilities: Path
    refusal: str | None


def publish(asked: Run, output: Path, img: Path | None) -> Released:
    """Do what is to do, write what may be released to `output`/<name>/model.onnx, track it, and say what was measured.

    img: folder for the plots, None for none.

    Raises: StartupError and Passing as the steps do, OSError if a file cannot be written.
    """
    arrays = pipeline.prepared(asked)
    weights = pipeline.trained(asked, arrays)
    files = pipeline.built(asked, arrays, weights)
    folder = pipeline.evaluated(asked, arrays, files)[0]
    measured: dict[str, dict[str, float]] = json.loads((folder / "metrics.json").read_text())
    exact = measured[asked.name]["accuracy"]
    refusal = quantise.refusal(f"{asked.name}_int8", measured[f"{asked.name}_int8"]["accuracy"], exact)
    written = {}
    for name, metrics in measured.items():
        if name != asked.name and refusal:
            continue
        written[name] = output / name / "model.onnx"
        shipped.keep(written[name], described((files[0] / f"{name}.onnx").read_bytes(), metrics))
        asked.say(f"{name}: accuracy {metrics['accuracy']:.4f}, {written[name]}")
    for metric, value in measured[asked.name].items():
        asked.say(f"  {metric:32} {value:.4f}")
    history = checkpoint.history(weights[0])
    figures = drawn(asked.name, folder, history)
    run = tracking.record(
        metadata_of(written[asked.name]), lambda to: plots.save(figures, to), written[asked.name], history
    )
    asked.say(f"  MLflow run {run}; see it with `make ui`")
    if img:
        plots.save(figures, img)
    with np.load(arrays[0] / "train.npz") as train:
        pictures = round(len(train["classes"]) * (1 - asked.validation))
    pictures -= pictures % asked.recipe.batch_size
    return Released(written, history, pictures, folder / "probabilities.npz", refusal)


def described(candidate: bytes, metrics: dict[str, float]) -> bytes:
    """The candidate's file with what was measured in its document."""
    document = msgspec.structs.replace(_document(candidate), metrics=metrics)
    return export.serialize(onnx.load_from_string(candidate), document)


def metadata_of(model: Path) -> Metadata:
    """The document in a file."""
    return _document(model.read_bytes())


def drawn(name: str, folder: Path, history: plots.History) -> dict[str, Figure]:
    """The plots of a run, by the names of their files; folder: of the step `evaluate`."""
    with np.load(folder / "probabilities.npz") as arrays:
        found, classes = {key: arrays[key] for key in arrays.files if key != "classes"}, arrays["classes"]
    return {
        f"{name}_learning": plots.learning(name, history),
        f"{name}_confusion": plots.confusion(name, found[name], classes),
        f"{name}_calibration": plots.calibration(found, classes),
    }


def _document(content: bytes) -> Metadata:
    return metadata.decode(network.documents(content)[0])
