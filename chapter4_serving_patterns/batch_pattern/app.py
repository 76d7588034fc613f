"""Assembly: the database, what the API shows of it, and the gauges that stand for the jobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mlsys.app import Service
from mlsys.database import Database
from mlsys.errors import NotReady
from mlsys.model import Model

from . import __doc__ as intent  # the pattern's one sentence
from . import prediction
from .gauges import Gauges
from .listing import Listing
from .migrate import LOCATION
from .routes import add_data, add_progress
from .settings import Settings

_START_WITHIN_S = 60.0


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before the database has the tables of this code.

    Raises: SettingsError; ModelError, because whose predictions it shows, the model file says.
    """
    settings = settings or Settings()
    model = Model.load(settings.model_path)
    database = Database(settings.database_url)
    service = Service(title="batch_pattern", description=intent or "", settings=settings)
    service.metrics.show_model(model.metadata.name, model.sha256)
    listing = Listing(database, model.sha256, prediction.code())
    gauges = Gauges(service.metrics.registry)

    async def migrated() -> None:
        await database.at_head(LOCATION)

    @asynccontextmanager
    async def looked_at() -> AsyncIterator[None]:
        looking = asyncio.create_task(look(listing, gauges, settings.look_every_s))
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    service.start_when("schema", migrated, within_s=_START_WITHIN_S)
    service.ready_when("database", database.ready)
    service.while_serving(looked_at)
    add_data(service, listing)
    add_progress(service, listing, model.version)
    return service


async def look(listing: Listing, gauges: Gauges, every_s: float) -> None:
    """Have the gauges follow the run: a job is gone before anybody asks it for metrics of its own."""
    while True:
        with suppress(NotReady):  # the log has why; the gauges stay as they are
            gauges.show(await asyncio.to_thread(listing.progress))
        await asyncio.sleep(every_s)
