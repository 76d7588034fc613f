"""Pictures of a training: how it went, what is taken for what, and whether probabilities can be believed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay

from .evaluate import Answers
from .preprocess import LABELS

History = Sequence[dict[str, float]]
BINS = 10  # as mlsys.evaluation has for the calibration error
BLUE, ORANGE = "#0072b2", "#e69f00"


def learning(name: str, history: History) -> Figure:
    """Loss and accuracies after each epoch."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")  # no pyplot: nothing global, no window
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    left.plot(epochs, [entry["loss"] for entry in history], color=BLUE, marker=".")
    left.set(title=f"{name}: training loss", xlabel="epoch", ylabel="cross entropy (nats)")
    right.plot(epochs, [entry["accuracy"] for entry in history], color=BLUE, marker=".", label="training, augmented")
    if "validation_accuracy" in history[0]:
        values = [entry["validation_accuracy"] for entry in history]
        right.plot(epochs, values, color=ORANGE, marker=".", label="validation, average of weights")
    right.set(title=f"{name}: accuracy", xlabel="epoch", ylabel="share of pictures")
    right.legend()
    return figure


def confusion(name: str, probabilities: Answers, classes: NDArray[np.uint8]) -> Figure:
    """Counts of test pictures by true and by predicted class."""

    def draw(axes: Axes) -> None:
        ConfusionMatrixDisplay.from_predictions(
            classes,
            probabilities.argmax(axis=1),
            labels=range(len(LABELS)),
            display_labels=LABELS,
            cmap="Blues",
            colorbar=False,
            xticks_rotation=45,
            text_kw={"fontsize": 7},
            ax=axes,
        )
        axes.set(title=f"{name}: {len(classes):,} test pictures", xlabel="predicted", ylabel="true")

    return _single(draw, (6.4, 6))


def calibration(answers: dict[str, Answers], classes: NDArray[np.uint8]) -> Figure:
    """Share of right answers against confidence, in bins of equal width, for each model."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
        for (name, found), style in zip(answers.items(), ("-", "--", ":", "-."), strict=False):
            confidence, right = found.max(axis=1).astype(float), found.argmax(axis=1) == classes
            bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
            bins = [bin_of == number for number in np.unique(bin_of)]
            points = [(confidence[inside].mean(), right[inside].mean()) for inside in bins]
            axes.plot(*np.transpose(points), style, marker="o", markersize=4, label=name)
        axes.set(
            title=f"Calibration, {len(classes):,} test pictures, {BINS} bins",
            xlabel="mean probability of the predicted class in the bin",
            ylabel="share that was right",
        )
        axes.legend()

    return _single(draw, (5.6, 4.4))


def save(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write each as <name>.png. Raises: OSError if the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(written, figures.values(), strict=True):
        figure.savefig(path, dpi=110)
    return written


def _single(draw: Callable[[Axes], None], size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    return figure
