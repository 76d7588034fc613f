"""A training project: what its train.py declares, and the one way in which that becomes a model file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

from sklearn.base import is_outlier_detector
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from . import dataset, evaluation, export
from .dataset import Flowers, Ints
from .evaluation import Estimator
from .iris import FEATURES, LABELS, SAMPLE
from .metadata import Metadata


@dataclass(frozen=True, kw_only=True)
class Project:
    """What one model is: everything that differs between the training projects.

    trainer: module that declares the project. estimator: makes an unfitted pipeline, its scaling and its choice of
    hyper-parameters included, so that all is learnt from the training part alone. target: turns species [n] (indices
    into LABELS) into the classes [n] to learn. stratified: whether both parts of the split keep the shares of the
    species. seed: of split and folds. parameters: what the estimator does not tell about itself.
    """

    name: str
    trainer: str
    estimator: Callable[[], Estimator]
    labels: tuple[str, ...] = LABELS
    features: tuple[str, ...] = FEATURES
    target: Callable[[Ints], Ints] = lambda species: species
    stratified: bool = True
    seed: int = 0
    parameters: dict[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted project, its two parts of the data, and the model file's content."""

    project: Project
    model: Estimator
    train: Flowers
    test: Flowers
    metadata: Metadata
    content: bytes


def fit(project: Project, *, test_size: float) -> Trained:
    """Split, cross-validate, fit, evaluate, export. The same project and share of test flowers give the same bytes."""
    with threadpool_limits(limits=1):  # sums in one order, however many cores there are; and faster on so little data
        return _fit(project, test_size)


def _fit(project: Project, test_size: float) -> Trained:
    flowers = dataset.load(project.features)
    train, test = dataset.split(flowers, test_size=test_size, seed=project.seed, stratified=project.stratified)
    target = project.target(train.species)
    metrics = evaluation.cross_validate(project.estimator(), train, target, seed=project.seed)
    model = project.estimator().fit(train.values, target)
    if isinstance(model, GridSearchCV):
        model = model.best_estimator_
    if is_outlier_detector(model):
        metrics |= evaluation.detector(model, test.values, dataset.surroundings(train, 10_000, project.seed))
    else:
        metrics |= evaluation.classifier(model, test.values, project.target(test.species), project.labels)
    graph = export.convert(model, features=len(project.features))
    metadata = _describe(project, model, train, metrics, test_size, graph)
    content = export.serialize(graph, metadata)
    return Trained(project=project, model=model, train=train, test=test, metadata=metadata, content=content)


def _describe(
    project: Project,
    model: Estimator,
    train: Flowers,
    metrics: dict[str, float],
    test_size: float,
    graph: export.Message,
) -> Metadata:
    inputs, outputs = export.tensors(graph)
    return Metadata(
        name=project.name,
        labels=list(project.labels),
        features=list(project.features),
        inputs=inputs,
        outputs=outputs,
        sample=[[row[FEATURES.index(name)] for name in project.features] for row in SAMPLE],
        metrics=metrics,
        parameters={
            "test_size": test_size,
            "seed": project.seed,
            "stratified": project.stratified,
            **project.parameters,
            **_scalars(model.get_params()),
        },
        data_sha256=train.sha256(),
        libraries={name: version(name) for name in ("onnx", "scikit-learn", "skl2onnx")},
        trainer=project.trainer,
        profile=dataset.profile(train, project.features),
    )


def _scalars(parameters: dict[str, object]) -> dict[str, str | int | float | bool | None]:
    """The settings of a pipeline and of its steps, without the steps themselves."""
    return {
        name: value
        for name, value in sorted(parameters.items())
        if value is None or isinstance(value, str | int | float)
    }
