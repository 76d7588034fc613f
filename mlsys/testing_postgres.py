"""The pytest plugin of what needs PostgreSQL: a server, and databases in it. Loaded by the conftest.py in the root."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .postgres import Postgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One PostgreSQL server for all tests, which waits for no disk. A test that stops one takes `own_postgres`."""
    with Postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@contextlib.contextmanager
def new_database(server: Postgres, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, dropped at the end with whoever still uses it.

    template: the database that it is a copy of, to which nobody may be connected; as it is, it is empty.
    """
    import psycopg2  # not every environment that runs tests has the category `database`

    name = f"test_{uuid.uuid4().hex}"
    connection = psycopg2.connect(server.url(), connect_timeout=10)
    connection.autocommit = True
    try:
        connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield server.url(name)
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        connection.close()


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, for this test alone."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, for the tests of one module."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A server of the test's own, to stop, kill and start again; its commits wait for the disk."""
    with Postgres(tmp_path / "postgres") as server:
        yield server
