"""The embedded PostgreSQL: what it keeps, whom it lets in, and what is left after every kind of end."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg2
import pytest

from mlsys import postgres_wheel
from mlsys.catalogue import ROOT
from mlsys.errors import StartupError
from mlsys.postgres import Postgres
from mlsys.testing import eventually


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg2.connect(url, connect_timeout=5) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def test_every_test_has_an_empty_database_of_its_own(postgres: Postgres, database_url: str) -> None:
    assert ask(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    assert ask(database_url, "SHOW server_encoding") == [("UTF8",)]
    assert database_url != postgres.url()


def test_the_servers_own_user_is_not_root(postgres: Postgres) -> None:
    assert psutil.Process(postgres.pid).uids().effective != 0


def test_nobody_gets_in_without_the_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password"):
        ask(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres", "SELECT 1")
    assert (postgres.folder / "password").stat().st_mode & 0o777 == 0o600
    assert (postgres.folder / "data").stat().st_mode & 0o777 == 0o700


def test_what_was_committed_survives_a_kill_a_stop_and_a_new_server_on_the_data(own_postgres: Postgres) -> None:
    url = own_postgres.url()
    ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
    own_postgres.kill()
    with pytest.raises(psycopg2.OperationalError):
        ask(url, "SELECT 1")
    own_postgres.start()
    assert ask(url, "INSERT INTO kept VALUES (2) RETURNING number") == [(2,)]
    own_postgres.restart()
    assert ask(url, "SELECT number FROM kept ORDER BY 1") == [(1,), (2,)]
    own_postgres.stop()
    with Postgres(own_postgres.folder) as other:
        assert ask(other.url(), "SELECT count(*) FROM kept") == [(2,)]


def test_a_stop_does_not_wait_for_clients(own_postgres: Postgres) -> None:
    client = psycopg2.connect(own_postgres.url())
    own_postgres.stop(within_s=5)
    assert "database system is shut down" in (own_postgres.folder / "server.log").read_text()
    client.close()


def test_a_pid_file_that_names_a_living_process_does_not_hinder_a_start(own_postgres: Postgres) -> None:
    own_postgres.kill()
    file = own_postgres.folder / "data" / "postmaster.pid"
    lines = file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as living:
        file.write_text("\n".join([str(living.pid), *lines[1:]]) + "\n")
        own_postgres.start()
        living.kill()
    assert ask(own_postgres.url(), "SELECT 1") == [(1,)]


def test_two_servers_on_the_same_data_are_refused(own_postgres: Postgres) -> None:
    with pytest.raises(StartupError, match=f"another PostgreSQL uses the data in {own_postgres.folder}"):
        Postgres(own_postgres.folder).start()
    assert ask(own_postgres.url(), "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_is_refused_with_what_it_said(own_postgres: Postgres) -> None:
    own_postgres.stop()
    (own_postgres.folder / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(StartupError, match=r"does not start; it said: .*postgresql.conf"):
        own_postgres.start()
    assert own_postgres.pid == 0


def test_data_whose_making_was_interrupted_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("16\n")
    with Postgres(tmp_path, durable=False) as server:
        assert ask(server.url(), "SELECT 1") == [(1,)]


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"initdb failed in .*: .*unrecognized option '--no-such'"):
        Postgres(tmp_path)._run(tmp_path, "initdb", "--no-such")


def test_a_machine_where_nobody_may_enter_the_temporary_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(StartupError, match="set TMPDIR to one that every user may"):
        postgres_wheel._copy(postgres_wheel.installed(), [tmp_path / "closed"])


def test_no_server_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mlsys.postgres import Postgres\n"
        "server = Postgres(Path(sys.argv[1]), durable=False); server.start(); print(server.pid, flush=True)\n"
        "time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=-1
    )
    assert starter.stdout
    server = psutil.Process(int(starter.stdout.readline()))
    family = [server, *server.children(recursive=True)]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    eventually(lambda: not any(process.is_running() for process in family), deadline_s=10)
    with Postgres(tmp_path, durable=False) as again:
        assert ask(again.url(), "SELECT 1") == [(1,)]


def test_programs_that_others_may_not_enter_are_copied_once_and_mended(tmp_path: Path) -> None:
    open_place = Path("/tmp") / f"mlsys-test-{os.getpid()}"  # noqa: S108  # the one folder all may enter
    open_place.mkdir(mode=0o755)
    try:
        real = postgres_wheel.installed()
        made = postgres_wheel._copy(real, [tmp_path, open_place])
        assert made != real
        program = made / "pginstall" / "bin" / "postgres"
        assert postgres_wheel._open_to_all(program)
        assert subprocess.run([program, "--version"], check=True, capture_output=True).stdout
        before = program.stat().st_ino
        assert postgres_wheel._copy(real, [open_place]) == made
        assert program.stat().st_ino == before
        (made / "pginstall" / "share" / "postgresql" / "postgres.bki").unlink()
        postgres_wheel._copy(real, [open_place])
        assert (made / "pginstall" / "share" / "postgresql" / "postgres.bki").exists()
    finally:
        subprocess.run(["rm", "-rf", str(open_place)], check=True)


def test_a_user_other_than_root_runs_it_as_that_user() -> None:
    with tempfile.TemporaryDirectory(prefix="mlsys-test-") as place:  # pytest's own folders are for one user alone
        postgres_wheel.programs()
        if os.getuid() == 0:
            os.chown(place, 65534, 65534)
        child = os.fork()  # the interpreter may be where another user cannot start it
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                if os.getuid() == 0:
                    os.setgid(65534)
                    os.setuid(65534)
                with Postgres(Path(place), durable=False) as server:
                    same = psutil.Process(server.pid).uids().real == os.getuid()
                    code = 0 if same and ask(server.url(), "SELECT 1") == [(1,)] else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
