"""Aliases, their log, the way back, and the gate at work."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chapter2_training.model_db.tests.conftest import Caller
from mlsys.database import Database

WHO_WHY = {"who": "ann", "why": "a test"}


def named(registry: Caller, model: str, alias: str = "champion") -> str | None:
    answer = registry.get(f"/models/{model}/aliases/{alias}")
    return str(answer.json["name"]) if answer.status == 200 else None


def rolled_back(registry: Caller, model: str) -> str | None:
    answer = registry("POST", f"/models/{model}/aliases/champion/rollback", WHO_WHY)
    assert answer.status in (201, 409), answer.body
    return str(answer.json["to_version"]) if answer.status == 201 else None


@pytest.fixture
def model(registry: Caller) -> str:
    """A model of four versions."""
    model = registry.model()
    for number in (1, 2, 3, 4):
        registry.version(model, f"{number}.0.0-iris.1")
    return model


def test_a_promotion_is_a_line_of_the_log_with_who_when_from_to_and_why(registry: Caller, model: str) -> None:
    assert registry.promote(model, "1.0.0-iris.1").status == 201
    line = registry.promote(model, "2.0.0-iris.1", who="bob", why="it sees more").json
    assert (line["number"], line["kind"]) == (2, "promote")
    assert (line["from_version"], line["to_version"]) == ("1.0.0-iris.1", "2.0.0-iris.1")
    assert (line["who"], line["why"], line["override_reason"]) == ("bob", "it sees more", None)
    assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    assert registry.get(f"/models/{model}/promotions").json[0] == line


def test_a_version_can_be_named_by_its_id(registry: Caller, model: str) -> None:
    version = registry.get(f"/models/{model}/versions/2.0.0-iris.1").json["id"]
    assert registry.promote(model, version).json["to_version"] == "2.0.0-iris.1"


def test_promoting_what_is_promoted_changes_nothing(registry: Caller, model: str) -> None:
    first = registry.promote(model, "1.0.0-iris.1")
    again = registry.promote(model, "1.0.0-iris.1")
    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert len(registry.get(f"/models/{model}/promotions").json) == 1


def test_each_rollback_goes_further_back_and_never_to_what_was_rolled_back(registry: Caller, model: str) -> None:
    for number in (1, 2, 3):
        registry.promote(model, f"{number}.0.0-iris.1")
    assert [rolled_back(registry, model) for _ in range(3)] == ["2.0.0-iris.1", "1.0.0-iris.1", None]
    registry.promote(model, "4.0.0-iris.1")
    assert rolled_back(registry, model) == "1.0.0-iris.1"
    kinds = [line["kind"] for line in registry.get(f"/models/{model}/promotions").json]
    assert kinds == ["rollback", "promote", "rollback", "rollback", "promote", "promote", "promote"]


def test_without_a_version_before_there_is_no_way_back(registry: Caller, model: str) -> None:
    assert registry("POST", f"/models/{model}/aliases/champion/rollback", WHO_WHY).status == 404
    registry.promote(model, "1.0.0-iris.1")
    answer = registry("POST", f"/models/{model}/aliases/champion/rollback", WHO_WHY)
    assert (answer.status, answer.error["code"]) == (409, "refused")
    assert named(registry, model) == "1.0.0-iris.1"


def test_an_alias_that_was_removed_names_nothing_until_it_is_rolled_back(registry: Caller, model: str) -> None:
    registry.promote(model, "1.0.0-iris.1")
    registry.promote(model, "2.0.0-iris.1")
    assert registry("DELETE", f"/models/{model}/aliases/champion", WHO_WHY).json["to_version"] is None
    assert registry.get(f"/models/{model}/aliases").json == {}
    assert registry("DELETE", f"/models/{model}/aliases/champion", WHO_WHY).status == 404
    assert rolled_back(registry, model) == "2.0.0-iris.1"
    assert rolled_back(registry, model) == "1.0.0-iris.1"


def test_a_promotion_after_a_removal_goes_back_to_what_was_named_before_it(registry: Caller, model: str) -> None:
    registry.promote(model, "1.0.0-iris.1")
    registry("DELETE", f"/models/{model}/aliases/champion", WHO_WHY)
    assert registry.promote(model, "2.0.0-iris.1").json["from_version"] is None
    assert rolled_back(registry, model) == "1.0.0-iris.1"


def test_a_version_that_comes_back_after_its_removal_is_not_its_own_way_back(registry: Caller, model: str) -> None:
    registry.promote(model, "1.0.0-iris.1")
    registry.promote(model, "2.0.0-iris.1")
    registry("DELETE", f"/models/{model}/aliases/champion", WHO_WHY)
    registry.promote(model, "2.0.0-iris.1")
    assert rolled_back(registry, model) == "1.0.0-iris.1"
    assert rolled_back(registry, model) is None


def test_what_was_champion_at_a_time_is_known(registry: Caller, model: str) -> None:
    times = [registry.promote(model, f"{number}.0.0-iris.1").json["at"].replace("+00:00", "Z") for number in (1, 2)]
    before = (datetime.fromisoformat(times[0]) - timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
    path = f"/models/{model}/aliases/champion?at="
    assert [registry.get(path + at).json["name"] for at in times] == ["1.0.0-iris.1", "2.0.0-iris.1"]
    assert registry.get(path + before).status == 404
    assert registry.get(path + "2026-01-01T00:00:00").status == 422  # no offset: whose midnight


def test_each_alias_has_a_log_of_its_own(registry: Caller, model: str) -> None:
    registry.promote(model, "1.0.0-iris.1")
    registry.promote(model, "2.0.0-iris.1", alias="challenger")
    registry.promote(model, "3.0.0-iris.1", alias="challenger")
    present = {alias: version["name"] for alias, version in registry.get(f"/models/{model}/aliases").json.items()}
    assert present == {"champion": "1.0.0-iris.1", "challenger": "3.0.0-iris.1"}
    numbers = [line["number"] for line in registry.get(f"/models/{model}/promotions?alias=challenger").json]
    assert numbers == [2, 1]


def test_the_log_is_paged_with_the_newest_line_first(registry: Caller, model: str) -> None:
    for number in (1, 2, 3):
        registry.promote(model, f"{number}.0.0-iris.1")
    first = registry.get(f"/models/{model}/promotions?limit=2")
    assert [line["number"] for line in first.json] == [3, 2]
    following = first.headers["link"].removeprefix("</v1/api").partition(">")[0]
    last = registry.get(following)
    assert [line["number"] for line in last.json] == [1]
    assert "link" not in last.headers


def test_a_caller_that_has_the_answer_is_told_so_until_the_alias_moves(registry: Caller, model: str) -> None:
    registry.promote(model, "1.0.0-iris.1")
    path = "/models/name/iris_svc/aliases/champion"
    tag = registry.get(path).headers["etag"]
    same = registry.get(path, {"if-none-match": f'W/"other", {tag}'})
    assert (same.status, same.body) == (304, b"")
    registry.promote(model, "2.0.0-iris.1")
    assert registry.get(path, {"if-none-match": tag}).json["name"] == "2.0.0-iris.1"


def test_the_gate_refuses_a_worse_version_with_the_reasons_and_the_log_stays(registry: Caller) -> None:
    model = registry.model()
    registry.version(model, "1.0.0-iris.1", metrics={"accuracy": 0.97})
    registry.version(model, "1.0.1-iris.1", metrics={"accuracy": 0.91})
    rules = [{"metric": "accuracy", "at_least": 0.9, "may_lose": 0.01}]
    assert registry("PUT", f"/models/{model}/gate", {"rules": rules}).status == 200
    registry.promote(model, "1.0.0-iris.1")
    refused = registry.promote(model, "1.0.1-iris.1")
    assert (refused.status, refused.error["code"]) == (409, "refused")
    assert refused.error["details"] == ["accuracy of 1.0.1-iris.1 is 0.91, that of 1.0.0-iris.1 0.97; it may lose 0.01"]
    assert named(registry, model) == "1.0.0-iris.1"
    assert len(registry.get(f"/models/{model}/promotions").json) == 1


def test_the_gate_is_passed_over_only_with_a_reason_which_is_logged_with_what_was_found(registry: Caller) -> None:
    model = registry.model()
    registry.version(model)
    registry("PUT", f"/models/{model}/gate", {"rules": [{"metric": "accuracy", "at_least": 0.9}]})
    for empty in ("", "  "):
        assert registry.promote(model, "1.0.0-iris.1", override_reason=empty).status == 422
    line = registry.promote(model, "1.0.0-iris.1", override_reason="measured by hand").json
    assert line["override_reason"] == "measured by hand"
    assert [(finding["check"], finding["passed"]) for finding in line["findings"]] == [("accuracy is known", False)]


def test_an_override_that_was_not_needed_is_not_logged_as_one(registry: Caller, model: str) -> None:
    assert registry.promote(model, "1.0.0-iris.1", override_reason="to be sure").json["override_reason"] is None


def test_a_breaking_signature_is_flagged_and_refused(registry: Caller) -> None:
    model = registry.model()
    registry.version(model, "1.0.0-iris.1")
    registry.promote(model, "1.0.0-iris.1")
    wider = registry.version(model, "2.0.0-iris.1", sha256=registry.artefact("wider", shape=[-1, 5]))
    assert wider["compatibility"]["verdict"] == "breaking"
    assert registry.promote(model, "2.0.0-iris.1").error["details"][0].startswith("the signature of 2.0.0-iris.1 is")


def test_a_version_of_another_model_cannot_be_promoted(registry: Caller, model: str) -> None:
    other = registry.version(registry.model("iris_rf"))
    assert registry.promote(model, other["id"]).status == 404


@pytest.mark.parametrize(
    "change", ["UPDATE promotions SET who = 'eve'", "DELETE FROM promotions", "TRUNCATE promotions"]
)
def test_the_database_itself_refuses_to_change_the_log(
    registry: Caller, model: str, database: Database, change: str
) -> None:
    registry.promote(model, "1.0.0-iris.1")
    with pytest.raises(DBAPIError, match="the promotion log only grows"), database.session() as session:
        session.execute(text(change))


@pytest.mark.parametrize("number", [1, 3])
def test_the_database_itself_refuses_a_second_line_of_a_number_and_a_gap(
    registry: Caller, model: str, database: Database, number: int
) -> None:
    line = registry.promote(model, "1.0.0-iris.1").json
    second = text(
        "INSERT INTO promotions (id, model_id, alias, number, kind, to_version_id, who, why, at, findings) VALUES "
        "(gen_random_uuid(), :model, 'champion', :number, 'promote', :version, 'eve', '', now(), '[]')"
    )
    with pytest.raises(DBAPIError, match="violates"), database.session() as session:
        session.execute(second, {"model": model, "number": number, "version": line["to_version_id"]})


def test_the_gate_that_is_set_is_the_gate_that_is_answered(registry: Caller, model: str) -> None:
    assert registry.get(f"/models/{model}/gate").json == {
        "aliases": ["champion"],
        "rules": [],
        "refuse_breaking_signature": True,
    }
    rule = {"metric": "log loss", "at_least": None, "at_most": 0.5, "may_lose": 0.0, "higher_is_better": False}
    body = {"aliases": ["champion", "challenger"], "rules": [rule], "refuse_breaking_signature": False}
    assert registry("PUT", f"/models/{model}/gate", body).json == body
    assert registry.get(f"/models/{model}/gate").json == body
    for bad in ({"rules": [{"metric": "accuracy"}]}, {"rules": [{**rule, "may_lose": -1}]}, {"aliases": ["a/b"]}):
        assert registry("PUT", f"/models/{model}/gate", json.dumps(bad).encode()).status == 422
