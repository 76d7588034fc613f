"""Assembly: every model package of the environment is opened, listed and served; one of them is the default."""

from collections.abc import Mapping, Sequence
from functools import partial

from prometheus_client import Gauge

from mlsys.app import Service
from mlsys.errors import ModelError, StartupError
from mlsys.iris_service import IrisModel, add_routes
from mlsys.model import Model
from mlsys.network import Network
from mlsys.server.repository import Models, Served
from mlsys.server.rest import mount

from . import __doc__ as intent  # the pattern's one sentence
from . import packages
from .packages import Package
from .routes import Listed, add_description
from .settings import Settings

OUTPUTS = ["label", "probabilities"]


class Default:
    """Answers by the default model. Where its package is not installed the service does not start, and nobody asks."""

    def __init__(self, name: str, networks: Mapping[str, Network]) -> None:
        """Raises: ModelError if it is there and no model of Iris species."""
        self._models = [_of_flowers(name, networks[name])] if name in networks else []

    def probabilities(self, flower: list[float]) -> list[float]:
        """Probabilities [3] of one flower [4] in centimetres."""
        return self._models[0].probabilities(flower)

    def label(self, flower: list[float]) -> str:
        """The class of one flower [4] in centimetres."""
        return self._models[0].label(flower)


def create_app(settings: Settings | None = None) -> Service:
    """The service, with the models of all installed packages open. Without the default one it does not start.

    Raises: SettingsError; ModelError if an installed package cannot be used, though the others could.
    """
    settings = settings or Settings()
    default = settings.default_model
    found = packages.find()
    networks = {package.name: package.open(threads=settings.model_threads) for package in found}
    listed = [_listed(package, networks[package.name], default) for package in found]
    service = Service(title="model_in_package_pattern", description=intent or "", settings=settings)
    _show(service, listed)
    predictor = Default(default, networks)

    async def default_is_installed() -> None:
        if default not in networks:
            there = ", ".join(networks) or "none"
            raise StartupError(
                f"DEFAULT_MODEL={default} is not among the installed model packages ({there}): install its package, or "
                "name another."
            )

    # Not above: the app must be built, to be described, also where nothing is installed yet.
    service.start_when("packages", default_is_installed, within_s=1)
    for name, network in networks.items():
        service.ready_when(name, partial(_answers, network))
    add_description(service, listed, predictor)
    add_routes(service, predictor)
    mount(service, Models(*(Served(name, network) for name, network in networks.items())))  # /v2: each by its name
    return service


def _of_flowers(name: str, network: Network) -> IrisModel:
    try:
        if network.metadata is None or [tensor.name for tensor in network.outputs] != OUTPUTS:
            raise ModelError("it is no classifier with probabilities")
        return IrisModel(Model(network, network.metadata))
    except ModelError as error:
        raise ModelError(
            f"DEFAULT_MODEL={name} is not a model of Iris species with probabilities: name one that is."
        ) from error


def _listed(package: Package, network: Network, default: str) -> Listed:
    return Listed(
        name=package.name,
        distribution=package.distribution,
        version=package.version,
        sha256=network.sha256,
        requires=list(package.requires),
        default=package.name == default,
    )


def _show(service: Service, listed: Sequence[Listed]) -> None:
    gauge = Gauge(
        "model_package_info",
        "A model package that is served.",
        ["name", "distribution", "version", "sha256"],
        registry=service.metrics.registry,
        multiprocess_mode="livemax",
    )
    for one in listed:
        gauge.labels(one["name"], one["distribution"], one["version"], one["sha256"]).set(1)


async def _answers(network: Network) -> None:
    network.warm_up()
