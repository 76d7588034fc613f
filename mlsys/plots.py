"""Pictures of a trained project, drawn without a screen: confusion, decision regions, calibration, outlier scores."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt
from sklearn.base import is_outlier_detector
from sklearn.metrics import ConfusionMatrixDisplay

from .dataset import Floats, Flowers, Ints, surroundings
from .evaluation import Estimator
from .project import Trained

Picture = Callable[[Trained, Axes], None]
COLOURS = ("#0072b2", "#e69f00", "#009e73")
"""Of classes, in order; told apart also by people who see colours differently (Okabe and Ito, 2008)."""
MARKERS = ("o", "s", "^")
BINS = 10


def save(trained: Trained, folder: Path) -> list[Path]:
    """Draw all that applies to the model into `folder` as PNG files named <model>_<picture>.png.

    Raises: OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for draw in _pictures(trained):
        figure = Figure(figsize=(5.6, 4.4), layout="constrained")  # no pyplot: nothing global, no window
        draw(trained, figure.add_subplot())
        path = folder / f"{trained.project.name}_{draw.__name__}.png"
        figure.savefig(path, dpi=120)
        written.append(path)
    return written


def _pictures(trained: Trained) -> Sequence[Picture]:
    if is_outlier_detector(trained.model):
        return [regions, scores]
    return [confusion, regions] + ([calibration] if hasattr(trained.model, "predict_proba") else [])


def confusion(trained: Trained, axes: Axes) -> None:
    """Counts of test flowers by true and by predicted class."""
    project, test = trained.project, trained.test
    ConfusionMatrixDisplay.from_predictions(
        project.target(test.species),
        trained.model.predict(test.values),
        labels=range(len(project.labels)),
        display_labels=project.labels,
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    axes.set(title=f"{project.name}: {len(test)} test flowers", xlabel="predicted", ylabel="true")


def regions(trained: Trained, axes: Axes) -> None:
    """The class that the model gives to each point of the petal plane, with the flowers on it."""
    project, model = trained.project, trained.model
    x, y = np.meshgrid(np.linspace(0.5, 7.5, 351), np.linspace(-0.3, 3.0, 331))
    grid = np.tile(trained.train.values.mean(axis=0), (x.size, 1))
    grid[:, -2:] = np.c_[x.ravel(), y.ravel()]  # the petal's two are the last columns of every project
    colours = ListedColormap(COLOURS[: len(project.labels)])
    found = _classes(model, grid).reshape(x.shape)
    axes.pcolormesh(x, y, found, cmap=colours, vmin=0, vmax=len(project.labels) - 1, alpha=0.25)
    axes.contour(x, y, found, levels=np.arange(len(project.labels) - 1) + 0.5, colors="black", linewidths=0.8)
    _names(trained, x, y, found, axes)
    _flowers(trained, trained.train, axes, part="training", edge="white")
    _flowers(trained, trained.test, axes, part="test", edge="black")
    rest = "" if grid.shape[1] == 2 else " (sepal at its mean)"
    marks = "\n(marks: the model's verdict on each flower, sepal included)" if is_outlier_detector(model) else ""
    axes.set(title=f"{project.name}: regions{rest}{marks}", xlabel="petal length (cm)", ylabel="petal width (cm)")
    axes.legend(fontsize="small", loc="upper left")


def _names(trained: Trained, x: Floats, y: Floats, found: Ints, axes: Axes) -> None:
    """Write each class's name where its region has most room: colours alone do not survive a grey print."""
    free = (x > 3.5) | (y < 1.9)  # not under the legend
    for length, width in np.r_[trained.train.values, trained.test.values][:, -2:]:
        free[np.abs(y[:, 0] - width).argmin(), np.abs(x[0] - length).argmin()] = False
    for index, label in enumerate(trained.project.labels):
        room = distance_transform_edt(np.pad(free & (found == index), 1), sampling=(4, 1))[1:-1, 1:-1]
        row, column = divmod(int(room.argmax()), room.shape[1])  # a name is wide: a step up counts as four aside
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.text(x[row, column], y[row, column], label, ha="center", va="center", weight="bold", bbox=box)


def _flowers(trained: Trained, flowers: Flowers, axes: Axes, *, part: str, edge: str) -> None:
    classes = _true(trained, flowers)
    for index, label in enumerate(trained.project.labels):
        length, width = flowers.values[classes == index, -2:].T
        axes.scatter(
            length,
            width,
            s=30,
            c=COLOURS[index],
            marker=MARKERS[index],
            edgecolors=edge,
            label=f"{label}, {part} (n={len(length)})",
        )


def calibration(trained: Trained, axes: Axes) -> None:
    """How often a class was the true one where its probability was about p. On the diagonal, p can be believed."""
    project, test = trained.project, trained.test
    several = len(project.labels) > 2
    shown = slice(None) if several else slice(1)  # of two classes the second's is 1 - p: the same points once more
    probabilities = trained.model.predict_proba(test.values)[:, shown]
    true = np.eye(len(project.labels))[_true(trained, test)][:, shown]
    label = "a class" if several else project.labels[0]
    bin_of = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for number in np.unique(bin_of):
        inside = bin_of == number
        point = probabilities[inside].mean(), true[inside].mean()
        axes.plot(*point, "o", color=COLOURS[0])
        axes.annotate(f"{inside.sum()}", point, xytext=(6, -10), textcoords="offset points", fontsize="small")
    axes.set(
        title=f"{project.name}: calibration, {len(test)} test flowers\n(beside each point: probabilities in its bin)",
        xlabel=f"mean probability of {label} in the bin",
        ylabel=f"share that was {'of that class' if several else label}",
    )
    axes.legend()


def scores(trained: Trained, axes: Axes) -> None:
    """Scores of test flowers and of points drawn evenly around the data; left of 0 the model says outlier."""
    test, n = trained.test, 10_000
    points = surroundings(trained.train, n, trained.project.seed)
    real, drawn = trained.model.decision_function(test.values), trained.model.decision_function(points)
    highest = max(real.max(), drawn.max())
    edges = np.arange(np.floor(drawn.min() * 8), np.ceil(highest * 8) + 1) / 8  # 0 is one of them
    for found, label, colour in (
        (real, f"test flowers (n={len(test)})", COLOURS[0]),
        (drawn, f"points around the data (n={n:,})", COLOURS[1]),
    ):
        axes.hist(
            found, edges.tolist(), weights=np.full(len(found), 100 / len(found)), color=colour, alpha=0.6, label=label
        )
    axes.axvline(0, color="black", linestyle="--", label="boundary")
    axes.set(title=f"{trained.project.name}: scores", xlabel="score (no unit)", ylabel="share (%)")
    axes.legend()


def _classes(model: Estimator, values: Floats) -> Ints:
    """The model's class of each row, as an index into the project's labels."""
    found: Ints = model.predict(values)
    return (found == -1).astype(np.int64) if is_outlier_detector(model) else found


def _true(trained: Trained, flowers: Flowers) -> Ints:
    """The true class of each flower; an outlier detector knows none, so there it is the model's own."""
    if is_outlier_detector(trained.model):
        return _classes(trained.model, flowers.values)
    return trained.project.target(flowers.species)
