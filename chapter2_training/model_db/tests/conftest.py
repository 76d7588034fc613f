"""What the registry's tests share: a migrated database, the app on it, and a caller with the token."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from chapter2_training.model_db.app import create_app
from chapter2_training.model_db.artefacts import Store
from chapter2_training.model_db.inspection import Facts
from chapter2_training.model_db.migrate import migrate
from chapter2_training.model_db.settings import Settings
from mlsys.app import Service
from mlsys.database import Database
from mlsys.metadata import Tensor
from mlsys.postgres import Postgres
from mlsys.testing import Answer, call
from mlsys.testing_postgres import new_database

TOKEN = "a token of these tests"  # noqa: S105


class Caller:
    """Asks the app below /v1/api, with the token unless told otherwise, and makes what tests begin with."""

    def __init__(self, app: Service, store: Store) -> None:
        self.app = app
        self.store = store

    def __call__(self, method: str, path: str, body: object = None, *, token: str | None = TOKEN) -> Answer:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        encoded = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return call(self.app, method, f"/v1/api{path}", encoded, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET without the token."""
        return call(self.app, "GET", f"/v1/api{path}", b"", headers or {})

    def made(self, path: str, body: object) -> Any:  # noqa: ANN401  # an answer's JSON
        """What a POST made."""
        answer = self("POST", path, body)
        assert answer.status == 201, answer.body
        return answer.json

    def model(self, name: str = "iris_svc", project: str = "iris") -> str:
        """The id of a new model, of a project that is made if it is not there."""
        answer = self("POST", "/projects", {"project_name": project})
        project_id = answer.json["project_id"] if answer.status == 201 else answer.error["details"]["id"]
        return str(self.made("/models", {"project_id": project_id, "model_name": name})["model_id"])

    def artefact(self, text: str = "a model", **signature: Any) -> str:  # noqa: ANN401
        """The sha256 of an artefact in the store. It is no real model: these tests are not of the store."""
        sha256 = hashlib.sha256(text.encode() + repr(signature).encode()).hexdigest()
        if self.store.facts(sha256) is None:
            file = self.store.part()
            file.write_text(text)
            inputs = [Tensor(name="input", datatype="FP32", shape=signature.get("shape", [-1, 4]))]
            outputs = [Tensor(name="probabilities", datatype="FP32", shape=[-1, 3])]
            self.store.keep(
                file, Facts(sha256=sha256, size_bytes=len(text), inputs=inputs, outputs=outputs, document=None)
            )
        return sha256

    def version(self, model_id: str, name: str = "1.0.0-iris.1", **fields: Any) -> Any:  # noqa: ANN401
        """The answer to a new version."""
        fields.setdefault("sha256", self.artefact(name))
        return self.made(f"/models/{model_id}/versions", {"name": name, **fields})

    def promote(self, model_id: str, version: str, alias: str = "champion", **fields: Any) -> Answer:  # noqa: ANN401
        """The answer to a promotion."""
        body = {"version": version, "who": "ann", "why": "a test", **fields}
        return self("POST", f"/models/{model_id}/aliases/{alias}", body)


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """The name of a database with the tables, of which each test gets a copy."""
    with new_database(postgres) as url:
        database = Database(url)
        migrate(database)
        database.dispose()
        yield str(make_url(url).database)


@pytest.fixture
def registry_url(postgres: Postgres, migrated: str) -> Iterator[str]:
    """The URL of a database with empty tables, for this test alone."""
    with new_database(postgres, migrated) as url:
        yield url


@pytest.fixture
def database(registry_url: str) -> Iterator[Database]:
    """That database."""
    database = Database(registry_url)
    yield database
    database.dispose()


def settings_of(url: str, folder: Path) -> Settings:
    """The settings of a registry on the database `url`, with its files in `folder`."""
    return Settings(
        database_url=SecretStr(url), artefacts_url=str(folder), registry_token=SecretStr(TOKEN), access_log=False
    )


@pytest.fixture
def settings(registry_url: str, tmp_path: Path) -> Settings:
    """The settings of a registry on it."""
    return settings_of(registry_url, tmp_path / "artefacts")


@pytest.fixture
def registry(settings: Settings) -> Caller:
    """The registry, in this process."""
    return Caller(create_app(settings), Store(settings.artefacts_url))


@pytest.fixture(scope="module")
def module_registry(postgres: Postgres, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """One for all tests of a module that change nothing."""
    with new_database(postgres, migrated) as url:
        settings = settings_of(url, tmp_path_factory.mktemp("artefacts"))
        yield Caller(create_app(settings), Store(settings.artefacts_url))
