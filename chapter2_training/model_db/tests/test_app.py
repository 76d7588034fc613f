"""The resources over HTTP: what is made, found, listed and refused."""

import json
import re
import uuid
from typing import Any

import pytest
from pydantic import SecretStr

from chapter2_training.model_db.app import create_app
from chapter2_training.model_db.settings import Settings
from chapter2_training.model_db.tests.conftest import TOKEN, Caller
from mlsys.errors import SettingsError
from mlsys.testing import Answer, call

NOBODY = str(uuid.uuid4())


def names(answer: Answer, key: str) -> list[str]:
    assert answer.status == 200, answer.body
    return [row[key] for row in answer.json]


def pages(registry: Caller, path: str, key: str) -> list[list[str]]:
    """The names of each page, following the links."""
    found = []
    while path:
        answer = registry.get(path)
        found.append(names(answer, key))
        link = re.fullmatch(r'</v1/api(.*)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
    return found


def test_a_project_and_a_model_are_found_by_id_and_by_name(registry: Caller) -> None:
    project = registry.made("/projects", {"project_name": "iris", "description": "Flowers"})
    assert (project["project_name"], project["description"]) == ("iris", "Flowers")
    assert registry.get(f"/projects/id/{project['project_id']}").json == project
    assert registry.get("/projects/name/iris").json == project
    model = registry.made("/models", {"project_id": project["project_id"], "model_name": "iris_svc"})
    assert registry.get(f"/models/id/{model['model_id']}").json == model
    assert registry.get("/models/name/iris_svc").json == model
    assert registry.get(f"/models/project-id/{project['project_id']}").json == [model]
    assert registry.get("/models/project-name/iris").json == [model]


def test_what_is_not_there_is_a_404(registry: Caller) -> None:
    model = registry.model()
    for path in [
        f"/projects/id/{NOBODY}",
        "/projects/name/nobody",
        f"/models/id/{NOBODY}",
        "/models/name/nobody",
        f"/models/project-id/{NOBODY}",
        "/models/project-name/nobody",
        f"/models/{NOBODY}/versions",
        f"/models/{model}/versions/1.0.0-iris.1",
        f"/models/{model}/versions/{NOBODY}",
        f"/models/{NOBODY}/aliases",
        f"/models/{model}/aliases/champion",
        "/models/name/nobody/aliases/champion",
        f"/models/{NOBODY}/promotions",
        f"/models/{NOBODY}/gate",
        f"/versions/{NOBODY}",
        f"/compare?left={NOBODY}&right={NOBODY}",
        f"/experiments/id/{NOBODY}",
        f"/experiments/model-version-id/{NOBODY}",
        f"/experiments/model-id/{NOBODY}",
        f"/experiments/project-id/{NOBODY}",
    ]:
        assert registry.get(path).error["code"] == "not_found", path
    for path, body in {
        "/models": {"project_id": NOBODY, "model_name": "m"},
        "/experiments": {"model_id": NOBODY},
        f"/experiments/evaluations/{NOBODY}": {"evaluations": {}},
        f"/versions/{NOBODY}/metrics": {"metrics": {}},
    }.items():
        assert registry("POST", path, body).error["code"] == "not_found", path


def test_what_exists_is_a_409_with_the_id_of_what_exists(registry: Caller) -> None:
    project = registry.made("/projects", {"project_name": "iris"})["project_id"]
    conflict = registry("POST", "/projects", {"project_name": "iris"})
    assert (conflict.status, conflict.error["details"]) == (409, {"id": project})
    model = registry.made("/models", {"project_id": project, "model_name": "m"})["model_id"]
    assert registry("POST", "/models", {"project_id": project, "model_name": "m"}).error["details"] == {"id": model}
    version = registry.version(model)
    again = registry("POST", f"/models/{model}/versions", {"name": version["name"], "sha256": version["sha256"]})
    assert (again.status, again.error["code"]) == (409, "conflict")
    assert again.error["details"] == {"id": version["id"], "sha256": version["sha256"]}


def test_lists_come_by_pages_in_the_order_that_is_asked_for(registry: Caller) -> None:
    for name in ("b", "A", "c", "a-1", "a"):
        registry.made("/projects", {"project_name": name})
    assert pages(registry, "/projects/all?limit=2", "project_name") == [["b", "A"], ["c", "a-1"], ["a"]]
    assert pages(registry, "/projects/all?limit=5&order=-created_at", "project_name") == [["a", "a-1", "c", "A", "b"]]
    assert pages(registry, "/projects/all?limit=3&order=name", "project_name") == [["A", "a", "a-1"], ["b", "c"]]
    assert pages(registry, "/projects/all?limit=4&order=-name", "project_name") == [["c", "b", "a-1", "a"], ["A"]]
    for wrong in ("limit=0", "limit=501", "limit=x", f"after={NOBODY}", "after=x", "order=description"):
        assert registry.get(f"/projects/all?{wrong}").status == 422, wrong


def test_a_filter_takes_signs_of_patterns_as_they_are(registry: Caller) -> None:
    for name in ("iris_svc", "iris-svc", "IRIS.rf"):
        registry.model(name)
    assert names(registry.get("/models/all?name_contains=iris&order=name"), "model_name") == [
        "IRIS.rf",
        "iris-svc",
        "iris_svc",
    ]
    assert names(registry.get("/models/all?name_contains=s_s"), "model_name") == ["iris_svc"]
    for nothing in ("%25", "%27%20OR%20%271%27=%271", "%5C"):
        assert names(registry.get(f"/models/all?name_contains={nothing}"), "model_name") == []
    filtered = pages(registry, "/models/project-name/iris?limit=1&name_contains=iris&order=name", "model_name")
    assert filtered == [["IRIS.rf"], ["iris-svc"], ["iris_svc"]]


def test_versions_are_listed_by_number_and_not_by_text(registry: Caller) -> None:
    model = registry.model()
    for name in ("1.10.0-iris.1", "1.9.0-iris.2", "1.9.0-iris.10"):
        registry.version(model, name, data_sha256="ab" * 32 if name.startswith("1.9") else None)
    path = f"/models/{model}/versions"
    assert pages(registry, f"{path}?order=name&limit=2", "name") == [
        ["1.9.0-iris.2", "1.9.0-iris.10"],
        ["1.10.0-iris.1"],
    ]
    assert pages(registry, f"{path}?order=-name&limit=1", "name")[0] == ["1.10.0-iris.1"]
    assert len(registry.get(f"{path}?data_sha256={'ab' * 32}").json) == 2
    assert names(registry.get(f"{path}?sha256={registry.artefact('1.10.0-iris.1')}"), "name") == ["1.10.0-iris.1"]


def test_a_version_tells_where_it_comes_from(registry: Caller) -> None:
    model = registry.model()
    first = registry.version(model, "1.0.0-iris.1")
    second = registry.version(
        model,
        "1.0.1-iris.1",
        data_sha256="ab" * 32,
        code_revision="0123abc",
        parameters={"test_size": 0.3, "big": 1e300},
        metrics={"accuracy": 0.95, "flops": 1e300},
        parent="1.0.0-iris.1",
    )
    assert second["parent_id"] == first["id"]
    assert (second["data_sha256"], second["code_revision"]) == ("ab" * 32, "0123abc")
    assert second["metrics"] == {"accuracy": 0.95, "flops": 1e300}
    assert registry.get(f"/versions/{second['id']}").json == second
    assert registry.get(f"/models/{model}/versions/1.0.1-iris.1").json == second
    other = registry.version(registry.model("iris_rf"), parent=first["id"])
    assert other["parent_id"] == first["id"]
    registry.promote(model, "1.0.1-iris.1")
    assert registry.get(f"/models/{model}/aliases/champion").json["parameters"] == second["parameters"]


def test_a_version_needs_its_artefact_and_a_name_of_the_form(registry: Caller) -> None:
    model = registry.model()
    missing = registry("POST", f"/models/{model}/versions", {"name": "1.0.0-iris.1", "sha256": "ab" * 32})
    assert (missing.status, missing.error["message"][:40]) == (422, f"There is no artefact {'ab' * 32}"[:40])
    wrong = registry("POST", f"/models/{model}/versions", {"name": "v1", "sha256": registry.artefact()})
    assert wrong.status == 422
    assert "x.y.z-data.split" in wrong.error["message"]
    assert registry.get(f"/models/{model}/versions").json == []


def test_metrics_evaluations_and_paths_are_added_and_stay(registry: Caller) -> None:
    model = registry.model()
    version = registry.version(model, metrics={"accuracy": 0.9, "loss": 1})["id"]
    for metrics in ({"accuracy": 0.95}, {"f1": 0.94}):
        assert registry("POST", f"/versions/{version}/metrics", {"metrics": metrics}).status == 200
    assert registry.get(f"/versions/{version}").json["metrics"] == {"accuracy": 0.95, "loss": 1, "f1": 0.94}
    run = registry.made("/experiments", {"model_id": model, "evaluations": {"a": 1}})["experiment_id"]
    mores: list[dict[str, Any]] = [{"b": {"c": 2}}, {"d": "3"}]
    for field, path in (("evaluations", "evaluations"), ("artifact_file_paths", "artifact-file-paths")):
        for more in mores:
            registry("POST", f"/experiments/{path}/{run}", {field: more})
    found = registry.get(f"/experiments/id/{run}").json
    assert found["evaluations"] == {"a": 1, "b": {"c": 2}, "d": "3"}
    assert found["artifact_file_paths"] == {"b": {"c": 2}, "d": "3"}


def test_experiments_are_listed_by_version_model_and_project(registry: Caller) -> None:
    model = registry.model()
    version = registry.version(model)
    runs = [
        registry.made("/experiments", {"model_id": model, "model_version_id": of, "training_dataset": "d"})
        for of in (None, version["id"], version["name"])
    ]
    assert [run["model_version_id"] for run in runs] == [None, version["id"], version["id"]]
    assert registry.get(f"/experiments/model-version-id/{version['id']}").json == runs[1:]
    assert registry.get(f"/experiments/model-id/{model}").json == runs
    project = registry.get("/projects/name/iris").json["project_id"]
    assert registry.get(f"/experiments/project-id/{project}?order=-created_at").json == runs[::-1]
    assert registry.get(f"/experiments/all?limit=1&after={runs[1]['experiment_id']}").json == runs[2:]
    other = registry.version(registry.model("other"))["id"]
    assert registry("POST", "/experiments", {"model_id": model, "model_version_id": other}).status == 404


def test_two_versions_are_compared(registry: Caller) -> None:
    model = registry.model()
    left = registry.version(model, "1.0.0-iris.1", metrics={"accuracy": 0.9}, parameters={"c": 1, "d": 2})
    right = registry.version(model, "1.0.1-iris.1", metrics={"accuracy": 0.9, "f1": 1}, parameters={"c": 3, "d": 2})
    answer = registry.get(f"/compare?left={left['id']}&right={right['id']}").json
    assert (answer["left"], answer["right"]) == (left, right)
    assert answer["metrics"] == {"f1": [None, 1.0]}
    assert answer["parameters"] == {"c": [1, 3]}
    assert answer["compatibility"] == {"verdict": "same", "changes": []}


def test_writing_needs_the_token_and_reading_does_not(registry: Caller) -> None:
    for token in (None, "", "wrong", TOKEN + "x", "é"):
        answer = registry("POST", "/projects", {"project_name": "iris"}, token=token)
        assert (answer.status, answer.error["code"]) == (401, "unauthorized"), token
        assert answer.headers["www-authenticate"] == "Bearer"
    basic = {"content-type": "application/json", "authorization": f"Basic {TOKEN}"}
    assert call(registry.app, "POST", "/v1/api/projects", b'{"project_name": "iris"}', basic).status == 401
    assert registry.get("/projects/all").json == []


def test_no_operation_that_writes_was_forgotten(registry: Caller) -> None:
    for template, methods in registry.app.openapi()["paths"].items():
        path = re.sub(r"\{(\w+)\}", lambda found: "a" * 64 if found[1] == "sha256" else NOBODY, template)
        for method in methods.keys() - {"get", "head"}:
            assert call(registry.app, method.upper(), path, b"{}").status == 401, (method, template)


def test_the_server_refuses_to_start_with_writes_open_unless_told_so(settings: Settings) -> None:
    values: dict[str, Any] = {"database_url": settings.database_url, "registry_token": None}
    with pytest.raises(SettingsError, match=r"REGISTRY_TOKEN is not set.*OPEN_WRITES=true"):
        Settings(**values)
    with pytest.raises(SettingsError, match="REGISTRY_TOKEN"):
        Settings(**values | {"registry_token": SecretStr(" ")})
    for unsendable in ("tokén", "with its newline\n", " space before"):
        with pytest.raises(SettingsError, match="no HTTP header can carry"):
            Settings(**values | {"registry_token": SecretStr(unsendable)})
    app = create_app(Settings(**values, open_writes=True))
    headers = {"content-type": "application/json"}
    assert call(app, "POST", "/v1/api/projects", b'{"project_name": "iris"}', headers).status == 201


def test_every_refusal_is_described_as_the_error_envelope(registry: Caller) -> None:
    document = registry.app.openapi()
    resources = {path: about for path, about in document["paths"].items() if "/artefacts/" not in path}
    assert "HTTPValidationError" not in json.dumps(resources)
    post = document["paths"]["/v1/api/projects"]["post"]["responses"]
    assert {"201", "400", "401", "404", "409", "413", "415", "422", "503", "504"} == set(post)
    assert post["409"]["content"] == post["503"]["content"]


def test_the_health_of_the_book_is_answered(registry: Caller) -> None:
    assert call(registry.app, "GET", "/v1/health").json == {"health": "ok"}
    assert set(call(registry.app, "GET", "/ready").json) == {"database", "artefacts"}
