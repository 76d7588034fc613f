"""The registry killed, its migration killed, its database stopped and killed: nothing acknowledged is lost, nothing is
there by halves, and it recovers by itself.
"""

import contextlib
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from chapter2_training.model_db.artefacts import Store
from chapter2_training.model_db.migrate import migrate
from chapter2_training.model_db.tests.networks import network
from mlsys.catalogue import ROOT
from mlsys.database import Database
from mlsys.ports import free_port
from mlsys.postgres import Postgres
from mlsys.testing import Server, eventually

from .registry_load import TARGET, TOKEN, Load
from .wire import connect, errors_in, read

pytestmark = pytest.mark.e2e

Start = Callable[..., Server]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the artefacts are."""
    return tmp_path / "artefacts"


def migrated(url: str) -> str:
    database = Database(url)
    migrate(database)
    database.dispose()
    return url


def environment(url: str, kept: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "ARTEFACTS_URL": str(kept),
        "REGISTRY_TOKEN": TOKEN,
        "PORT": str(free_port()),
        "ACCESS_LOG": "false",
    }


def killed_under_load(serve: Start, url: str, kept: Path, kills: int) -> None:
    """Kill all processes of the registry `kills` times, at random moments while models come in."""
    around = environment(migrated(url), kept)
    server = serve(TARGET, **around)
    with Load(server) as load:
        for _ in range(kills):
            before = len(load.promoted)
            eventually(lambda seen=before: len(load.promoted) > seen, deadline_s=30)  # type: ignore[misc]
            with pytest.raises(AssertionError):  # a moment later, whatever happens then
                eventually(lambda: False, deadline_s=random.uniform(0, 0.7), every_s=0.001)  # noqa: S311
            server.kill()
            server = serve(TARGET, **around)
        before = len(load.promoted)
        eventually(lambda: len(load.promoted) > before, deadline_s=30)
    load.check(kept)
    assert load.statuses[0] > 0, "no kill broke a request"
    assert load.statuses[503] == 0
    Store(str(kept), stale_s=0).sweep()
    assert {file.suffix for file in kept.iterdir()} == {".onnx", ".json"}
    print(f"{load.statuses} over {kills} kills, {len(load.promoted)} promotions")


def test_a_registry_killed_under_load_loses_nothing_and_never_has_two_champions(
    serve: Start, database_url: str, kept: Path
) -> None:
    killed_under_load(serve, database_url, kept, kills=3)


@contextlib.contextmanager
def asked(url: str) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Asks the database, past all of our code."""
    connection = psycopg2.connect(url, connect_timeout=10)
    connection.autocommit = True

    def ask(statement: str) -> list[tuple[object, ...]]:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []

    try:
        yield ask
    finally:
        connection.close()


def tables(ask: Callable[[str], list[tuple[object, ...]]]) -> int:
    ((number,),) = ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert isinstance(number, int)
    return number


SLOW = """
CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); END';
CREATE EVENT TRIGGER slow ON ddl_command_end EXECUTE FUNCTION slow();
"""
MIGRATING = (
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
    "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
)


def migration(url: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "chapter2_training.model_db.migrate"]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"DATABASE_URL": url}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def killed_while_migrating(url: str, kills: int) -> None:
    """Kill the migration `kills` times between its first table and its last, then let it end."""
    with asked(url) as ask:
        ask(SLOW)
        for _ in range(kills):
            process = migration(url)
            eventually(lambda: ask(MIGRATING), deadline_s=30, every_s=0.005)
            with pytest.raises(AssertionError):
                eventually(lambda: False, deadline_s=random.uniform(0, 0.2), every_s=0.001)  # noqa: S311
            process.kill()
            process.communicate()
            eventually(lambda: not ask(MIGRATING), deadline_s=10)  # the server sees it at the end of the statement
            assert tables(ask) == 0, "a migration that was killed has not happened"
        ask("DROP EVENT TRIGGER slow")
        replicas = [migration(url), migration(url)]
        assert [(process.communicate()[1], process.returncode) for process in replicas] == [(b"", 0)] * 2
        assert tables(ask) >= 5


def test_a_migration_killed_at_any_moment_has_not_happened_and_can_be_run_again(database_url: str) -> None:
    killed_while_migrating(database_url, kills=2)


def test_without_its_database_the_registry_answers_503_and_recovers_by_itself(
    serve: Start, own_postgres: Postgres, kept: Path
) -> None:
    server = serve(TARGET, **environment(migrated(own_postgres.url()), kept))
    with Load(server) as load:
        eventually(lambda: load.promoted, deadline_s=30)
        for end in (own_postgres.stop, own_postgres.kill):
            end()
            seen = load.statuses[503]
            eventually(lambda: load.statuses[503] >= seen + 3, deadline_s=30)  # noqa: B023  # called before it changes
            assert server.get("/ready").status == 503
            assert server.get("/health").status == 200
            own_postgres.start()
            before = len(load.promoted)
            eventually(lambda: len(load.promoted) > before, deadline_s=30)  # noqa: B023  # called before it changes
        assert server.is_ready()
    load.check(kept)
    assert set(load.statuses) <= {200, 201, 503}


def test_callers_who_leave_in_the_middle_leave_nothing_and_are_no_error(
    serve: Start, database_url: str, kept: Path
) -> None:
    server = serve(TARGET, **environment(migrated(database_url), kept))
    content = network(columns=4, width=1 << 20)
    digest = hashlib.sha256(content).hexdigest()
    with_token = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    put = f"PUT /v1/api/artefacts/{digest} HTTP/1.1\r\n{with_token}Content-Length: {len(content)}\r\n\r\n".encode()
    get = f"GET /v1/api/artefacts/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connect(server) as caller:
        caller.sendall(put + content[: 4 << 20])
        eventually(lambda: [file.suffix for file in kept.iterdir()] == [".part"], deadline_s=10)
    eventually(lambda: list(kept.iterdir()) == [], deadline_s=10)
    with connect(server) as caller:
        caller.sendall(put + content)
        assert read(caller).startswith(b"HTTP/1.1 201 ")
    with connect(server) as caller:
        caller.sendall(get)
        assert caller.recv(1000).startswith(b"HTTP/1.1 200 ")
    files = f"/proc/{server.process.pid}/fd"
    eventually(lambda: not any(name.endswith(".onnx") for name in opened(files)), deadline_s=10)
    assert server.stop() == 0
    assert errors_in(server.log) == []


def opened(files: str) -> list[str]:
    """Names of the files that a process has open."""
    found = []
    for number in os.listdir(files):  # noqa: PTH208  # what is listed may be gone
        with contextlib.suppress(FileNotFoundError):
            found.append(str(Path(files, number).readlink()))
    return found
