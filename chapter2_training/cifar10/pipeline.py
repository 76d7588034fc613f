"""The steps, and what each is made from: preprocess, train, building, evaluate."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from mlsys.errors import StartupError

from . import archive, building, evaluate, learn, networks, pictures, preprocess, steps
from .progress import Bar
from .recipe import Recipe
from .steps import Inputs, Step, run

HERE = Path(__file__).parent
Done = tuple[Path, Inputs]
"""A step's folder, and the sha256 of each file in it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a person asks for. data: None fetches the official archive. validation: share of the training pictures."""

    model_type: str
    recipe: Recipe
    data: Path | None
    validation: float
    num_workers: int
    work: Path
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        """Of the model that this makes."""
        return f"cifar10_{self.model_type.removeprefix('cifar10_')}"


def prepared(asked: Run) -> Done:
    """The pictures as arrays."""
    source = asked.data
    if source is None:
        source = run(fetching(), asked.work, say=asked.say)[0] / archive.NAME
    if not source.exists():
        raise StartupError(
            f"There are no pictures at {source}: name a tar or a folder of train/<class>/, test/<class>/."
        )
    step = Step(
        name="preprocess",
        work=lambda folder: preprocess.preprocess(source, folder, num_workers=asked.num_workers),
        sources=_sources("preprocess", "archive", "../../mlsys/picture"),
        inputs={"source": steps.digest(source)},
    )
    return run(step, asked.work, say=asked.say)


def fetching() -> Step:
    """The official archive, from where it is published."""
    return Step(
        name="fetch",
        work=_fetch,
        sources=(),
        inputs={"url": archive.URL, "md5": archive.MD5},
    )


def _fetch(folder: Path) -> None:
    archive.fetch(folder)


def trained(asked: Run, arrays: Done) -> Done:
    """The weights, and how they came to be. Of what `prepared` wrote, this opens train.npz alone."""
    step = Step(
        name=f"train-{asked.model_type}",
        work=lambda to: _train(asked, arrays[0] / "train.npz", to),
        sources=_sources("learn", "distort", "networks", "pictures"),
        inputs={
            "pictures": arrays[1]["train.npz"],
            "model_type": asked.model_type,
            "validation": asked.validation,
            "torch": torch.__version__,
            "precision": str(learn.precision()),
            **asdict(asked.recipe),
        },
    )
    return run(step, asked.work, say=asked.say)


def _train(asked: Run, arrays: Path, folder: Path) -> None:
    part, validation = pictures.split(pictures.load(arrays), asked.validation, asked.recipe.seed)
    with torch.random.fork_rng():
        torch.manual_seed(asked.recipe.seed)
        network = networks.NETWORKS[asked.model_type]()
    with Bar(asked.recipe.epochs, len(part), asked.say) as watch:
        average = learn.train(network, part, validation, asked.recipe, folder=folder, watch=watch)
    state = {name: value.contiguous().numpy() for name, value in average.state_dict().items()}
    np.savez(folder / "weights.npz", **state)  # the same bytes for the same values, unlike torch's own


def built(asked: Run, arrays: Done, weights: Done) -> Done:
    """The files <name>.onnx and <name>_int8.onnx, finished but for the metrics in their documents."""
    parameters: Inputs = {"model_type": asked.model_type, "validation": asked.validation, **asdict(asked.recipe)}
    step = Step(
        name=f"building-{asked.model_type}",
        work=lambda to: building.build(
            building.restored(asked.model_type, weights[0] / "weights.npz"),
            pictures.split(pictures.load(arrays[0] / "train.npz"), asked.validation, asked.recipe.seed)[0],
            building.document(asked.name, parameters, str(arrays[1]["train.npz"])),
            to,
        ),
        sources=_sources(
            "building", "graphs", "quantise", "networks", "pictures", "../../mlsys/export", "../../mlsys/metadata"
        ),
        inputs={
            "weights": weights[1]["weights.npz"],
            "pictures": arrays[1]["train.npz"],
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
            **parameters,
        },
    )
    return run(step, asked.work, say=asked.say)


def evaluated(asked: Run, arrays: Done, files: Done) -> Done:
    """What the test pictures say of the finished files: metrics.json and probabilities.npz."""
    step = Step(
        name=f"evaluate-{asked.model_type}",
        work=lambda to: evaluate.evaluate(
            {Path(file).stem: files[0] / file for file in files[1]},
            arrays[0] / "test.npz",
            to,
            threads=torch.get_num_threads(),
        ),
        sources=_sources("evaluate", "../../mlsys/evaluation"),
        inputs={"test": arrays[1]["test.npz"], "onnxruntime": onnxruntime.__version__, **files[1]},
    )
    return run(step, asked.work, say=asked.say)


def _sources(*names: str) -> tuple[Path, ...]:
    return tuple(HERE / f"{name}.py" for name in names)
