"""Fifty callers at a time: nothing is lost, nothing is there twice."""

import asyncio
import json
from typing import Any

from chapter2_training.model_db.tests.conftest import TOKEN, Caller
from mlsys.testing import Answer, exchange

CALLERS = 50


def at_once(registry: Caller, requests: list[tuple[str, str, dict[str, Any]]]) -> list[Answer]:
    """The answers to requests that are all under way together. One that is told to come again (503) does so."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}

    async def ask(method: str, path: str, body: dict[str, Any]) -> Answer:
        while True:
            message = {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}
            answer = await exchange(registry.app, method, f"/v1/api{path}", [message], headers)
            if answer.status != 503:
                return answer

    async def ask_all() -> list[Answer]:
        return await asyncio.gather(*(ask(*request) for request in requests))

    return asyncio.run(ask_all())


def test_fifty_updates_at_a_time_are_all_kept(registry: Caller) -> None:
    model = registry.model()
    version = registry.version(model)["id"]
    run = registry.made("/experiments", {"model_id": model})["experiment_id"]
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for number in range(CALLERS):
        requests.append(("POST", f"/experiments/evaluations/{run}", {"evaluations": {f"e{number}": number}}))
        requests.append(("POST", f"/versions/{version}/metrics", {"metrics": {f"e{number}": number}}))
    assert {answer.status for answer in at_once(registry, requests)} == {200}
    expected = {f"e{number}": number for number in range(CALLERS)}
    assert registry.get(f"/experiments/id/{run}").json["evaluations"] == expected
    assert registry.get(f"/versions/{version}").json["metrics"] == expected


def test_of_fifty_that_make_the_same_one_makes_it_and_the_others_learn_its_id(registry: Caller) -> None:
    answers = at_once(registry, [("POST", "/projects", {"project_name": "iris"})] * CALLERS)
    (made,) = (answer for answer in answers if answer.status == 201)
    others = [answer.error["details"]["id"] for answer in answers if answer.status == 409]
    assert others == [made.json["project_id"]] * (CALLERS - 1)


def test_fifty_promotions_at_a_time_leave_a_log_without_gaps_and_one_champion(registry: Caller) -> None:
    model = registry.model()
    for number in range(CALLERS):
        registry.version(model, f"1.0.{number}-iris.1", sha256=registry.artefact())
    path = f"/models/{model}/aliases/champion"
    answers = at_once(
        registry,
        [("POST", path, {"version": f"1.0.{n}-iris.1", "who": f"w{n}", "why": "x"}) for n in range(CALLERS)],
    )
    assert {answer.status for answer in answers} == {201}
    log = registry.get(f"/models/{model}/promotions").json[::-1]
    assert [line["number"] for line in log] == list(range(1, CALLERS + 1))
    assert [line["from_version"] for line in log] == [None, *(line["to_version"] for line in log[:-1])]
    assert [line["at"] for line in log] == sorted(line["at"] for line in log)
    assert registry.get(f"/models/{model}/aliases/champion").json["name"] == log[-1]["to_version"]
    holders = [v["name"] for v in registry.get(f"/models/{model}/versions").json if "champion" in v["aliases"]]
    assert holders == [log[-1]["to_version"]]


def test_promotions_rollbacks_and_removals_at_a_time_keep_the_chain(registry: Caller) -> None:
    model = registry.model()
    for number in range(5):
        registry.version(model, f"1.0.{number}-iris.1", sha256=registry.artefact())
    path, said = f"/models/{model}/aliases/champion", {"who": "ann", "why": "x"}
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for number in range(CALLERS):
        requests.append(("POST", path, {"version": f"1.0.{number % 5}-iris.1", **said}))
        requests.append(("POST", f"{path}/rollback", said) if number % 2 else ("DELETE", path, said))
    assert {answer.status for answer in at_once(registry, requests)} <= {200, 201, 404, 409}
    log = registry.get(f"/models/{model}/promotions?limit=500").json[::-1]
    assert [line["number"] for line in log] == list(range(1, len(log) + 1))
    assert [line["from_version"] for line in log] == [None, *(line["to_version"] for line in log[:-1])]
