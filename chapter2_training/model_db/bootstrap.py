"""A registry with something in it: `python -m chapter2_training.model_db.bootstrap [PROJECT MODEL FILE VERSION]`.

Brings the database to the tables of this code and, if the model never had a champion, publishes the file as its first
one. Without the service: it writes to the database and the store, so that it can run before anything listens.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from mlsys import logs
from mlsys.database import Database
from mlsys.errors import Conflict, MlsysError, NotFound, StartupError

from . import incoming, promotions, records
from .answers import CHAMPION
from .artefacts import Store
from .migrate import STATEMENT_TIMEOUT_S, migrate_when_ready
from .naming import VersionName
from .settings import StoreSettings
from .tables import Model, Project

Row = TypeVar("Row", Project, Model)
_SAID = {"who": "bootstrap", "why": "the first version of a new registry"}


def publish(session: Session, store: Store, names: tuple[str, str, str], file: Path) -> str | None:
    """Make `file` the first champion; names: project, model, version.

    Returns its sha256, None if there is or was a champion. What is there of the same names already is used.
    Raises: ModelError if the file is no model, StartupError if the version is there with another file.
    """
    project_name, model_name, version_name = names
    VersionName.parse(version_name)
    project = ensure(session, Project, project_name, {})
    model = records.lock(session, ensure(session, Model, model_name, {"project_id": project.id}).id)
    if promotions.last(session, model.id, CHAMPION):
        return None
    facts = incoming.add(store, file)
    try:
        version = records.find_version(session, model, version_name)
    except NotFound:
        version = records.add_version(session, store, model, {"name": version_name, "sha256": facts.sha256})
    if version.sha256 != facts.sha256:
        raise StartupError(
            f"{version_name} of {model_name} is there with another file than {file}: name a new version."
        )
    promotions.promote(session, model.id, CHAMPION, str(version.id), _SAID, None)
    return facts.sha256


def ensure(session: Session, table: type[Row], name: str, values: dict[str, Any]) -> Row:
    """The row of this name, made if there is none."""
    try:
        return records.add(session, table, {"name": name, "description": "", **values})
    except Conflict:
        return records.named(session, table, name)


def main() -> int:
    """The exit code: 0 when the registry can be used."""
    parser = argparse.ArgumentParser(prog="python -m chapter2_training.model_db.bootstrap", description=__doc__)
    parser.add_argument("publication", nargs="*", metavar="PROJECT MODEL FILE VERSION")
    publication = parser.parse_args().publication
    if len(publication) not in (0, 4):
        parser.error(f"PROJECT MODEL FILE VERSION are four words, or none; these are {len(publication)}.")
    try:
        settings = StoreSettings()
        logs.configure(settings)
        database = Database(settings.database_url, statement_timeout_s=STATEMENT_TIMEOUT_S)
        migrate_when_ready(database)
        if publication:
            project, model, file, version = publication
            with database.session() as session:
                sha256 = publish(session, Store(settings.artefacts_url), (project, model, version), Path(file))
            structlog.get_logger("model_db").info("published", model=model, version=version, sha256=sha256 or "kept")
        database.dispose()
    except MlsysError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
