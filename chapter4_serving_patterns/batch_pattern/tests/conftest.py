"""What the pattern's tests share: a migrated database, a connection to it as the job has one, and the real model."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from sqlalchemy import make_url

from mlsys.model import Model
from mlsys.postgres import Postgres
from mlsys.testing_postgres import new_database

from .. import store
from ..migrate import migrate
from ..prediction import Predictor
from ..settings import Settings

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """The name of a database with the tables, to copy."""
    with new_database(postgres) as url:
        database = store.database_of(Settings(database_url=url))
        migrate(database)
        database.dispose()
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def own_tables(postgres: Postgres, migrated: str) -> Iterator[tuple[str, Connection]]:
    """The URL of one database for the tests that change it, and a connection to it."""
    extensions.set_wait_callback(None)
    with new_database(postgres, migrated) as url, contextlib.closing(psycopg2.connect(url, connect_timeout=10)) as own:
        own.autocommit = True
        own.cursor().execute("SET lock_timeout = '10s'")  # a test before has left a transaction open
        yield url, own


@pytest.fixture
def url(own_tables: tuple[str, Connection]) -> str:
    """A database with the tables and nothing in them, as if new: to empty them is faster than to make them."""
    url, own = own_tables
    extensions.set_wait_callback(None)
    own.cursor().execute("TRUNCATE items, versions, runs, chunks, predictions, quarantine RESTART IDENTITY")
    return url


@pytest.fixture
def settings(url: str, models: Path) -> Settings:
    return Settings(
        database_url=url, model_path=models / "iris_svc" / "model.onnx", chunk_rows=10, log_format="json", items=50
    )


@pytest.fixture(scope="session")
def model(models: Path) -> Model:
    return Model.load(models / "iris_svc" / "model.onnx")


@pytest.fixture(scope="session")
def predictor(model: Model) -> Predictor:
    return Predictor(model)


@pytest.fixture
def connect(settings: Settings) -> Iterator[Callable[[], Connection]]:
    """Makes connections as the job has them."""
    opened = []

    def connect() -> Connection:
        extensions.set_wait_callback(None)
        opened.append(psycopg2.connect(settings.database_url.get_secret_value(), connect_timeout=10))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    return connect()


@pytest.fixture
def ask(connect: Callable[[], Connection]) -> Ask:
    """Asks the database past all of our code, or changes it."""
    own = connect()
    own.autocommit = True

    def ask(statement: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = own.cursor()
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []

    return ask
