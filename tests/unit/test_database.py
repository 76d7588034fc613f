"""Transactions on a real server, and what a caller sees when it goes, comes back, hangs or is full."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import psycopg2
import pytest
from pydantic import SecretStr
from sqlalchemy import exc, text

from mlsys.database import Database
from mlsys.errors import InvalidInput, NotReady, SettingsError
from mlsys.postgres import Postgres
from mlsys.testing import eventually

REVISION = """
revision, down_revision, branch_labels, depends_on = "abc1", None, None, None
def upgrade(): pass
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(SecretStr(database_url), pool_size=4, pool_timeout_s=0.2)
    with database.session() as session:
        session.execute(text("CREATE TABLE numbers (id int PRIMARY KEY, value int)"))
        session.execute(text("INSERT INTO numbers VALUES (1, 0), (2, 0)"))
    yield database
    database.dispose()


def values(database: Database) -> list[int]:
    with database.session() as session:
        return list(session.scalars(text("SELECT value FROM numbers ORDER BY id")))


def answers(database: Database) -> bool:
    try:
        with database.session() as session:
            return bool(session.scalar(text("SELECT 1")))
    except NotReady:
        return False


def test_a_block_that_ends_is_committed_and_one_that_fails_leaves_nothing(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE numbers SET value = 1"))
    with pytest.raises(KeyError), database.session() as session:
        session.execute(text("UPDATE numbers SET value = 2"))
        raise KeyError
    assert values(database) == [1, 1]


@pytest.mark.parametrize(
    "url", ["", "localhost", "mysql://u:secret@h/d", "postgresql+asyncpg://u:secret@h/d", "a://b:c"]
)
def test_an_url_that_is_not_one_of_postgresql_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL is not valid") as refused:
        Database(url)
    assert "secret" not in str(refused.value)


def test_the_short_scheme_is_taken_too(database_url: str) -> None:
    assert answers(Database(database_url.replace("postgresql:", "postgres:")))


def test_a_violated_constraint_is_the_callers_to_explain(database: Database) -> None:
    with pytest.raises(exc.IntegrityError), database.session() as session:
        session.execute(text("INSERT INTO numbers VALUES (1, 1)"))


def test_a_mistake_of_ours_is_no_503(database: Database) -> None:
    with pytest.raises(exc.ProgrammingError), database.session() as session:
        session.execute(text("SELECT * FROM no_such_table"))


def test_a_value_that_postgresql_cannot_hold_is_bad_input(database: Database) -> None:
    with (
        pytest.raises(InvalidInput, match="A value cannot be stored: integer out of range"),
        database.session() as session,
    ):
        session.execute(text("UPDATE numbers SET value = :big"), {"big": 10**12})


def test_a_server_that_is_restarted_is_used_again_without_one_failure(own_postgres: Postgres) -> None:
    database = Database(own_postgres.url())
    assert answers(database)
    own_postgres.restart()
    assert answers(database)
    database.dispose()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_is_gone_is_a_503_and_its_return_is_noticed(own_postgres: Postgres, how: str) -> None:
    database = Database(own_postgres.url())
    with pytest.raises(NotReady, match="The database does not answer"), database.session() as session:
        session.execute(text("SELECT 1"))
        getattr(own_postgres, how)()
        session.execute(text("SELECT 1"))
    with pytest.raises(NotReady, match="The database does not answer"), database.session() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(NotReady, match=r"cannot be used: .*Connection refused"):
        asyncio.run(database.ready())
    own_postgres.start()
    eventually(lambda: answers(database), deadline_s=10)
    asyncio.run(database.ready())
    database.dispose()


def test_under_load_a_kill_is_answered_by_503_alone_and_passes(own_postgres: Postgres) -> None:
    database = Database(own_postgres.url(), pool_size=4)
    seen: list[bool] = []
    wrong: list[BaseException] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                seen.append(answers(database))
            except BaseException as error:  # what must not be
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        eventually(lambda: seen[-1:] == [True], deadline_s=10)
        own_postgres.kill()
        eventually(lambda: seen[-1:] == [False], deadline_s=10)
        own_postgres.start()
    eventually(lambda: seen[-1:] == [True], deadline_s=10)
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong
    database.dispose()


def test_a_statement_that_takes_too_long_is_ended_by_the_server(database_url: str) -> None:
    database = Database(database_url, statement_timeout_s=0.1)
    with pytest.raises(NotReady), database.session() as session:
        session.execute(text("SELECT pg_sleep(30)"))
    assert answers(database)


def test_a_server_that_is_silent_is_not_waited_for_longer_than_a_statement_may_take(own_postgres: Postgres) -> None:
    database = Database(own_postgres.url(), statement_timeout_s=0.1, connect_timeout_s=0.3)
    assert answers(database)
    family = [psutil.Process(own_postgres.pid), *psutil.Process(own_postgres.pid).children(recursive=True)]
    for process in family:
        process.suspend()
    began = time.monotonic()
    with pytest.raises(NotReady, match=r"cannot be used: .*silent for"):
        asyncio.run(database.ready())
    assert not answers(database)
    assert time.monotonic() - began < 10
    for process in reversed(family):
        process.send_signal(signal.SIGCONT)
    eventually(lambda: answers(database), deadline_s=10)
    database.dispose()


def test_when_all_connections_are_in_use_the_caller_is_told_to_come_back(database: Database) -> None:
    sessions = [database.session() for _ in range(4)]
    for session in sessions:
        session.__enter__().execute(text("SELECT 1"))
    with pytest.raises(NotReady, match="All connections to the database are in use"), database.session() as fifth:
        fifth.execute(text("SELECT 1"))
    for session in sessions:
        session.__exit__(None, None, None)
    assert answers(database)


def test_a_server_that_takes_no_more_clients_is_a_503(database: Database, database_url: str) -> None:
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER DATABASE %s CONNECTION LIMIT 0" % database_url.rpartition("/")[2])  # noqa: UP031
    connection.close()
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:  # a superuser is let in
        cursor.execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
    connection.close()
    refused = Database(database_url.replace(database_url.split("@")[0], "postgresql://clerk:clerk"))
    with pytest.raises(NotReady, match=r"cannot be used: .*too many connections"):
        asyncio.run(refused.ready())
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP ROLE clerk")
    connection.close()


def test_two_transactions_that_block_each_other_both_succeed_in_the_end(database: Database) -> None:
    both = threading.Barrier(2, timeout=10)
    failed: list[BaseException] = []

    def update(first: int, second: int) -> None:
        tries: list[int] = []

        def work(session) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            session.execute(text("UPDATE numbers SET value = value + 1 WHERE id = :id"), {"id": first})
            if not tries:
                tries.append(1)
                both.wait()
            session.execute(text("UPDATE numbers SET value = value + 1 WHERE id = :id"), {"id": second})

        try:
            database.run(work)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=update, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert values(database) == [2, 2]


def test_a_deadlock_that_does_not_pass_is_a_503_after_the_last_attempt(database: Database) -> None:
    tries: list[int] = []

    def work(session) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        tries.append(1)
        session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$"))

    with pytest.raises(NotReady, match="Another change was in the way"):
        database.run(work, attempts=3)
    assert len(tries) == 3


def test_what_will_not_pass_by_itself_is_not_tried_again(database: Database) -> None:
    tries: list[int] = []

    def work(session) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        tries.append(1)
        session.execute(text("SET LOCAL statement_timeout = 1"))
        session.execute(text("SELECT pg_sleep(5)"))

    with pytest.raises(NotReady):
        database.run(work)
    assert len(tries) == 1


def test_a_database_whose_migrations_have_not_run_is_not_ready_and_both_revisions_are_named(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "abc1_first.py").write_text(REVISION)
    check = partial(database.at_head, tmp_path)
    with pytest.raises(NotReady, match="is at revision none and must be at abc1: run its migrations"):
        asyncio.run(check())
    with database.session() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
        session.execute(text("INSERT INTO alembic_version VALUES ('abc1')"))
    asyncio.run(check())
