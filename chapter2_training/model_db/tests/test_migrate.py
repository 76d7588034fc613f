"""The migration: once, by one, all of it or nothing; and the registry that has something in it from the start."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, select, text

from chapter2_training.model_db import bootstrap, promotions, records
from chapter2_training.model_db.artefacts import Store
from chapter2_training.model_db.migrate import LOCATION, migrate, migrate_when_ready
from chapter2_training.model_db.tables import Model, Table, Version
from mlsys.catalogue import ROOT
from mlsys.database import Database
from mlsys.errors import StartupError
from mlsys.ports import free_port


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_replicas_that_start_together_migrate_one_after_another(database_url: str) -> None:
    together = threading.Barrier(4)

    def replica(_: int) -> list[str]:
        database = Database(database_url)
        together.wait(10)
        steps = migrate(database)
        database.dispose()
        return steps

    with ThreadPoolExecutor(4) as replicas:
        taken = list(replicas.map(replica, range(4)))
    assert sorted(map(len, taken)) == [0, 0, 0, 1]


def test_a_migration_that_ends_in_the_middle_has_not_happened(database_url: str) -> None:
    database = Database(database_url)
    with database.session() as session:
        session.execute(text("CREATE TABLE promotions (in_the_way integer)"))  # the last step's table
    with pytest.raises(Exception, match="already exists"):
        migrate(database)
    assert inspect(database.engine).get_table_names() == ["promotions"]
    with database.session() as session:
        session.execute(text("DROP TABLE promotions"))
    assert migrate(database) == ["0001"]
    database.dispose()


def test_a_database_of_a_newer_release_is_left_alone(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StartupError, match="revision 9999, which this code does not know"):
        migrate(database)


def test_every_step_can_be_taken_back(database: Database) -> None:
    with database.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for step in ScriptDirectory(str(LOCATION)).walk_revisions():
            step.module.downgrade()
    assert inspect(database.engine).get_table_names() == ["alembic_version"]


def test_a_bootstrap_publishes_the_first_champion_and_no_second(
    database: Database, models: Path, tmp_path: Path
) -> None:
    store, file = Store(str(tmp_path)), models / "iris_svc" / "model.onnx"
    names = ("iris", "iris_svc", "1.0.0-iris.1")
    with database.session() as session:
        sha256 = bootstrap.publish(session, store, names, file)
    with database.session() as session:
        model = records.named(session, Model, "iris_svc")
        champion = promotions.holder(session, model, "champion")
        assert (champion.name, champion.sha256) == ("1.0.0-iris.1", sha256)
        assert champion.metrics["accuracy"] > 0.5
        assert bootstrap.publish(session, store, ("iris", "iris_svc", "2.0.0-iris.1"), file) is None
        assert [version.name for version in session.scalars(select(Version))] == ["1.0.0-iris.1"]


def run_bootstrap(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chapter2_training.model_db.bootstrap", *words],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "DATABASE_URL": url, "ARTEFACTS_URL": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_bootstrap_can_be_run_again_and_says_what_is_wrong(database_url: str, models: Path, tmp_path: Path) -> None:
    words = ["iris", "iris_svc", str(models / "iris_svc" / "model.onnx"), "1.0.0-iris.1"]
    for _ in range(2):
        done = run_bootstrap(database_url, tmp_path, *words)
        assert (done.returncode, done.stderr) == (0, "")
    no_model = run_bootstrap(database_url, tmp_path, "iris", "other", str(Path(__file__)), "1.0.0-iris.1")
    assert no_model.returncode == 1
    assert no_model.stderr.startswith("Model ")
    assert no_model.stderr.count("\n") == 1
    assert run_bootstrap(database_url, tmp_path, "iris").returncode == 2
    database = Database(database_url)
    with database.session() as session:
        assert [model.name for model in session.scalars(select(Model))] == ["iris_svc"]
    database.dispose()


def test_a_database_that_does_not_come_ends_the_migration_with_a_sentence() -> None:
    database = Database(f"postgresql://nobody:nothing@127.0.0.1:{free_port()}/none", connect_timeout_s=0.5)
    with pytest.raises(StartupError, match="could not be migrated within"):
        migrate_when_ready(database, within_s=0.3)


def test_a_user_without_rights_ends_the_migration_with_what_the_server_said(database_url: str) -> None:
    owner = Database(database_url)
    with owner.session() as session:
        session.execute(text("CREATE ROLE a_reader LOGIN PASSWORD 'x'"))
    owner.dispose()
    reader = Database(make_url(database_url).set(username="a_reader", password="x").render_as_string(False))  # noqa: S106
    try:
        with pytest.raises(StartupError, match="refuses the migration: permission denied for schema public"):
            migrate_when_ready(reader, within_s=1)
    finally:
        reader.dispose()
        with owner.session() as session:
            session.execute(text("DROP ROLE a_reader"))
        owner.dispose()
