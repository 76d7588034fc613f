"""Assembly of the chain: its stages are services in the order of STAGES, and one deadline covers them all."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal, cast

import msgspec
from prometheus_client import Histogram

from mlsys import iris
from mlsys.app import Service
from mlsys.edge import remaining_s
from mlsys.openapi import example

from . import __doc__ as intent  # the pattern's one sentence
from . import describe
from .chain import Chain, Stage, Step, require_order
from .interface import Declared
from .remote import ASK_S, RemoteStage, declarations, someone_is_answered
from .settings import Settings

Traced = Annotated[Literal["true", "false"], msgspec.Meta(examples=["true"])]


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before its stages are there and fit. Raises: SettingsError."""
    settings = settings or Settings()
    remotes = [RemoteStage(each.name, each.url, max_connections=settings.max_concurrency) for each in settings.stages]
    stages = [
        Stage(each.name, remote.ask, each.cap_ms / 1000, each.reserve_ms / 1000)
        for each, remote in zip(settings.stages, remotes, strict=True)
    ]
    service = Service(title="vertical_microservice_pattern", description=intent or "", settings=settings)

    async def stages_fit() -> None:
        require_order(list(zip([remote.name for remote in remotes], await declarations(remotes), strict=True)))

    async def stages_fit_at_the_start() -> None:
        async with AsyncExitStack() as opened:  # nothing of `while_serving` is open yet
            for remote in remotes:
                await opened.enter_async_context(remote.upstream)
            await stages_fit()

    for remote in remotes:
        service.while_serving(lambda remote=remote: remote.upstream)  # type: ignore[misc]  # no defaults of lambdas
    service.start_when("The chain", stages_fit_at_the_start, within_s=settings.stages_wait_s)
    service.ready_when("stages", lambda: someone_is_answered(remotes))
    chain = make_chain(service, stages, settings)
    add_description(service, chain, settings, remotes)
    add_predictions(service, chain, [stage.name for stage in stages])
    return service


def make_chain(service: Service, stages: Sequence[Stage], settings: Settings) -> Chain:
    """The chain, with a metric of what each stage took and how it went: result, stop, an error's code, or cancelled."""
    seconds = Histogram(
        "chain_stage_seconds",
        "Time of a stage as the chain sees it, the way to it included.",
        ["stage", "end"],
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        registry=service.metrics.registry,
    )

    def watch(step: Step) -> None:
        end = step.error or ("stop" if step.stop else "cancelled" if step.result is None else "result")
        seconds.labels(step.stage, end).observe(step.ms / 1000)

    return Chain(stages, own_s=settings.chain_reserve_ms / 1000, watch=watch)


def add_description(service: Service, chain: Chain, settings: Settings, remotes: Sequence[RemoteStage]) -> None:
    """The routes that say what the service takes and gives, of which stages, and how these are."""
    labels = {str(index): name for index, name in enumerate(iris.LABELS)}
    names = [remote.name for remote in remotes]
    example_of_metadata = describe.metadata([(each, Declared(each.name)) for each in settings.stages], describe.VERDICT)

    @service.get("/metadata", responses=example(example_of_metadata) | describe.refused())
    async def metadata() -> describe.Metadata:
        """Types of input and output, with samples, and the stages with their budgets and models."""
        found = await declarations(remotes)
        outcome = await chain.run(iris.SAMPLE, remaining_s)
        sample = msgspec.to_builtins(describe.verdict(names, outcome, traced=False))
        return describe.metadata(list(zip(settings.stages, found, strict=True)), sample)

    @service.get("/label", responses=example(labels))
    async def label() -> dict[str, str]:
        """The classes, in the order of the probabilities."""
        return labels

    @service.get("/health/all", responses=example({"outlier": {"health": "ok"}}))
    async def health_all() -> dict[str, dict[str, Any]]:
        """Whether each stage is alive."""
        found = await asyncio.gather(*(remote.health(min(ASK_S, remaining_s())) for remote in remotes))
        return dict(zip(names, found, strict=True))


def add_predictions(service: Service, chain: Chain, names: list[str]) -> None:
    """The routes that ask the chain: about the sample, and about what the caller sends."""

    @service.get("/predict/test", responses=example(describe.VERDICT) | describe.refused())
    async def predict_test() -> dict[str, Any]:
        """What the stages find about the sample."""
        outcome = await chain.run(iris.SAMPLE, remaining_s)
        found: dict[str, Any] = msgspec.to_builtins(describe.verdict(names, outcome, traced=False))
        return found

    @service.fast_post("/predict", refuses=(502,))
    async def predict(flower: iris.Flower, *, x_trace: Traced = "false") -> describe.Verdict:
        """What the stages find about one flower. With X-Trace: true, also what each of them was given and took."""
        outcome = await chain.run(flower.data, remaining_s)
        return cast("describe.Verdict", describe.verdict(names, outcome, traced=x_trace == "true"))
