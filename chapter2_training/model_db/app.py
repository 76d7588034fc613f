"""Assembly: the database, the store of the files, and the routes under /v1."""

import asyncio

from fastapi import APIRouter

from mlsys.app import Service
from mlsys.database import Database
from mlsys.openapi import example

from . import __doc__ as intent  # the pattern's one sentence
from .access import MayWrite, writers_only
from .aliases import add_aliases, add_promotions
from .artefacts import Store
from .experiments import add_experiment_lists, add_experiments
from .fields import JsonRoute
from .gates import add_gates
from .migrate import LOCATION
from .models import add_models
from .pages import add_pages
from .projects import add_projects
from .settings import Settings
from .transfers import add_transfers
from .versions import add_version_by_id, add_versions

PREFIX = "/v1"
_START_WITHIN_S = 60.0


def create_app(settings: Settings | None = None) -> Service:
    """The service. It answers nobody before the database has the tables of this code. Raises: SettingsError."""
    settings = settings or Settings()
    database = Database(settings.database_url)
    store = Store(
        settings.artefacts_url,
        memory_bytes=settings.inspection_memory_bytes,
        timeout_s=settings.inspection_timeout_s,
    )
    may_write = writers_only(settings)
    service = Service(title="model_db", description=intent or "", settings=settings)
    add_conditions(service, database, store)
    service.include_router(resources(database, store, may_write))
    add_transfers(service, store, settings, may_write)
    add_pages(service, database)
    return service


def add_conditions(service: Service, database: Database, store: Store) -> None:
    """What must hold before the service answers, and what /ready asks."""

    async def migrated() -> None:
        await database.at_head(LOCATION)

    async def store_takes_files() -> None:
        await asyncio.to_thread(store.check)

    service.start_when("schema", migrated, within_s=_START_WITHIN_S)
    service.ready_when("database", database.ready)
    service.ready_when("artefacts", store_takes_files)


def resources(database: Database, store: Store, may_write: MayWrite) -> APIRouter:
    """All JSON routes. A path that two of them could answer is answered by the first."""
    version = APIRouter(prefix=PREFIX, route_class=JsonRoute)

    @version.get("/health", responses=example({"health": "ok"}), tags=["operation"])
    async def health() -> dict[str, str]:
        """Whether this worker is alive."""
        return {"health": "ok"}

    api = APIRouter(prefix="/api", route_class=JsonRoute)
    add_projects(api, database, may_write)
    add_models(api, database, may_write)
    add_experiments(api, database, may_write)
    add_experiment_lists(api, database)
    add_gates(api, database, may_write)
    add_versions(api, database, store, may_write)
    add_version_by_id(api, database, may_write)
    add_aliases(api, database)
    add_promotions(api, database, may_write)
    version.include_router(api)
    return version
