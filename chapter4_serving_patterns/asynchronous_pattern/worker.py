"""A worker, as a process: it leases jobs, has their pictures predicted, stores what comes out, and never gives up.

What fails by no job's fault is waited for, Redis or the model server; the jobs go back, and no attempt is counted.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys

import prometheus_client
import structlog
import uvloop

from mlsys import logs
from mlsys.errors import NotReady, StartupError
from mlsys.redis import connect, end
from mlsys.remote import RemoteModel

from .holding import FIRST_PAUSE_S, LONGEST_PAUSE_S, Holding
from .jobs import Jobs
from .prediction import Prediction
from .predictor import Failed, Predictor
from .records import Lease
from .settings import Settings

log = structlog.get_logger("worker")


class Worker:
    """Takes batches in several lanes, so that one is decoded while the model server is at work on another."""

    def __init__(self, holding: Holding, predictor: Predictor, settings: Settings) -> None:
        self._holding = holding
        self._predictor = predictor
        self._settings = settings
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Lease no more, finish within the grace what was begun, and give the rest back."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        beat = asyncio.create_task(self._holding.beat())
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._settings.lanes)]
        await self._stopping.wait()
        _, late = await asyncio.wait(lanes, timeout=self._settings.worker_grace_s)
        await end([*late, beat])
        with contextlib.suppress(NotReady):
            log.info("stopped", given_back=await self._holding.give_all_back())

    async def _lane(self) -> None:
        pause_s = 0.0
        while not self._stopping.is_set():
            try:
                await self._turn()
                pause_s = 0.0
            except Exception as error:
                pause_s = min(2 * pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
                await self._rest(error, pause_s)

    async def _turn(self) -> None:
        """One batch, from lease to result. Raises: NotReady; what nobody expected."""
        await self._predictor.ready()
        leases = await self._holding.take(self._settings.batch, self._settings.block_ms)
        if not leases or self._stopping.is_set():
            return
        try:
            await self._do(leases)
        except Exception:
            self._holding.drop(leases)
            raise

    async def _do(self, leases: list[Lease]) -> None:
        try:
            outcomes = await self._predictor.predict([lease.picture for lease in leases])
        except NotReady:
            await self._holding.give_back(leases)
            raise
        except Exception as error:
            for lease in leases:
                await self._holding.fail(lease, f"Unexpected: {error!r}.", poison=False)
            raise
        pairs = list(zip(leases, outcomes, strict=True))
        await self._holding.finish([(lease, each.encode()) for lease, each in pairs if isinstance(each, Prediction)])
        for lease, each in pairs:
            if isinstance(each, Failed):
                await self._holding.fail(lease, each.reason, poison=each.poison)

    async def _rest(self, error: Exception, pause_s: float) -> None:
        if isinstance(error, NotReady):
            log.warning("waiting", reason=error.message, for_s=pause_s)
        else:  # to end would help no job
            log.error("unexpected error", exc_info=error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause_s)


async def work(settings: Settings) -> None:
    """Be a worker until SIGTERM or SIGINT."""
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    model = RemoteModel(settings.model_target, settings.model_name)
    predictor = Predictor(model, timeout_s=settings.model_timeout_s, decode_threads=settings.lanes)
    async with connect(settings.redis_url) as client:
        holding = Holding(Jobs(client, settings.policy()), name, settings.lease_ms)
        worker = Worker(holding, predictor, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        if settings.worker_metrics_port:
            _serve_metrics(settings, holding.registry)
        log.info("started", name=name)
        await worker.run()
    await predictor.close()


def _serve_metrics(settings: Settings, registry: prometheus_client.CollectorRegistry) -> None:
    try:
        prometheus_client.start_http_server(settings.worker_metrics_port, settings.host, registry)
    except OSError as error:
        address = f"HOST={settings.host} WORKER_METRICS_PORT={settings.worker_metrics_port}"
        raise StartupError(f"{address} cannot be listened on: {error.strerror}.") from None


def main() -> None:
    """Exit code 1 and one sentence if it cannot start; 0 when it was told to end."""
    try:
        settings = Settings()
        logs.configure(settings)
        uvloop.run(work(settings))
    except StartupError as error:
        sys.exit(f"Cannot start: {error}")


if __name__ == "__main__":
    main()
