"""The API, in front of a real Redis; a second client of the queue does what workers would."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from mlsys import pictures
from mlsys.errors import SettingsError, StartupError
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import Answer, call

from ..app import create_app
from ..settings import Settings
from .api import JSON, RESULT, Api, body_of, settings_of

STRANGERS = [
    "0",
    "*",
    "?" * 36,
    "[0-9a-f]*",
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e",
    "a%2Fb",
    "%7Bjobs%7D:stream",
    "a%0D%0ADEL%20x",
    "%00",
    "%ff",
    "a" * 10_000,
    "{00000000-0000-4000-8000-000000000000}",
    str(uuid.uuid4()),
]


@pytest.fixture(scope="session")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the sample."""
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    path.write_bytes(pictures.content("cat"))
    return path


@pytest.fixture
def api(redis_url: str, cat: Path) -> Iterator[Api]:
    with Api(settings_of(redis_url, cat)).serving() as api:
        yield api


def refused(answer: Answer, status: int, code: str) -> str:
    """Check that this is the refusal expected; return its message."""
    assert (answer.status, answer.error["code"]) == (status, code), answer
    message: str = answer.error["message"]
    return message


def finish(api: Api) -> None:
    """Do the next job."""
    assert api.run(api.jobs.finish([(lease, RESULT.encode()) for lease in api.leased()]))


def test_a_picture_is_answered_by_a_job_id_and_by_nothing_else(api: Api) -> None:
    answer = api.ask("POST", "/predict", body_of(b"a picture"))
    assert (answer.status, list(answer.json)) == (200, ["job_id"])
    assert uuid.UUID(answer.json["job_id"]).version == 4
    assert api.leased()[0].picture == b"a picture"


def test_the_test_route_enqueues_the_sample(api: Api) -> None:
    job_id = api.ask("GET", "/predict/test").json["job_id"]
    (lease,) = api.leased()
    assert (lease.id, lease.picture) == (job_id, pictures.content("cat"))


def test_a_job_has_no_prediction_until_it_is_done(api: Api) -> None:
    job_id = api.enqueued()
    waiting = {"prediction": "", "state": "queued", "attempts": 0, "position": 0, "wait_s": None}
    assert api.state(job_id) == waiting | {"probability": None, "reason": None}
    (lease,) = api.leased()
    assert (api.state(job_id)["state"], api.state(job_id)["attempts"]) == ("running", 1)
    api.run(api.jobs.finish([(lease, RESULT.encode())]))
    done = api.state(job_id)
    assert (done["prediction"], done["state"], done["probability"], done["position"]) == ("cat", "done", 0.9, None)


def test_jobs_know_their_place_and_how_long_it_will_take(api: Api) -> None:
    finish_first = api.enqueued()
    finish(api)
    assert api.state(finish_first)["state"] == "done"
    jobs = [api.enqueued() for _ in range(3)]
    assert [api.state(job_id)["position"] for job_id in jobs] == [0, 1, 2]
    waits = [api.state(job_id)["wait_s"] for job_id in jobs]
    assert waits == sorted(waits)
    assert all(wait >= 0 for wait in waits)
    finish(api)
    assert [api.state(job_id)["position"] for job_id in jobs] == [None, 0, 1]


def test_a_dead_job_says_why(api: Api) -> None:
    job_id = api.enqueued(b"no picture")
    (lease,) = api.leased()
    api.run(api.jobs.fail(lease, "The 10 bytes are no picture.", poison=True))
    dead = api.state(job_id)
    assert (dead["state"], dead["reason"], dead["prediction"]) == ("dead", "The 10 bytes are no picture.", "")


def test_the_queue_tells_its_depth_its_dead_and_who_works(api: Api) -> None:
    assert api.ask("GET", "/queue").json == {"depth": 0, "pace_ms": None, "dead": 0, "workers": {}}
    for _ in range(3):
        api.enqueued()
    api.leased(2)
    queue = api.ask("GET", "/queue").json
    assert (queue["depth"], queue["dead"], queue["workers"]) == (3, 0, {"host-1-0000": 2})
    api.run(api.jobs.fail(api.leased()[0], "poison", poison=True))
    assert api.ask("GET", "/queue").json["dead"] == 1


@pytest.mark.parametrize("route", ["GET /job/{}", "DELETE /job/{}", "GET /job/{}/events"])
def test_an_id_that_is_none_is_a_404_and_touches_nothing(api: Api, route: str) -> None:
    kept = api.enqueued()
    for stranger in STRANGERS:
        method, path = route.replace("{}", stranger, 1).split(" ")
        assert len(refused(api.ask(method, path), 404, "not_found")) < 300
    assert api.state(kept)["state"] == "queued"


@pytest.mark.parametrize("change", [str.upper, lambda job_id: job_id + "*", lambda job_id: job_id[:-1] + "?"])
def test_an_id_counts_as_it_was_given_alone(api: Api, change: Callable[[str], str]) -> None:
    job_id = api.enqueued()
    assert api.ask("DELETE", f"/job/{change(job_id)}").status == (200 if change(job_id) == job_id else 404)


def test_a_deleted_job_is_gone_for_everybody(api: Api) -> None:
    job_id = api.enqueued()
    assert api.ask("DELETE", f"/job/{job_id}").json == {job_id: {"state": "deleted"}}
    refused(api.ask("GET", f"/job/{job_id}"), 404, "not_found")
    refused(api.ask("DELETE", f"/job/{job_id}"), 404, "not_found")
    assert api.leased() == []
    assert api.ask("GET", "/queue").json["depth"] == 0


def test_the_result_of_a_job_that_was_deleted_meanwhile_is_dropped(api: Api) -> None:
    job_id = api.enqueued()
    (lease,) = api.leased()
    api.ask("DELETE", f"/job/{job_id}")
    assert api.run(api.jobs.finish([(lease, RESULT.encode())])) == set()
    refused(api.ask("GET", f"/job/{job_id}"), 404, "not_found")


def test_a_request_that_is_repeated_with_its_key_is_one_job(api: Api) -> None:
    keyed = JSON | {"idempotency-key": "order-7"}
    first = api.enqueued(headers=keyed)
    assert api.enqueued(headers=keyed) == first
    assert api.enqueued() != first
    finish(api)
    assert api.enqueued(headers=keyed) == first
    assert api.ask("GET", "/queue").json["depth"] == 1


def test_a_key_that_came_with_another_picture_is_a_409(api: Api) -> None:
    keyed = JSON | {"idempotency-key": "order-7"}
    api.enqueued(headers=keyed)
    refused(api.ask("POST", "/predict", body_of(b"another"), keyed), 409, "conflict")


@pytest.mark.parametrize("key", ["", "a" * 256, "a b", "a\x00", "é"])
def test_a_key_that_is_empty_too_long_or_not_printable_is_a_422(api: Api, key: str) -> None:
    refused(api.ask("POST", "/predict", body_of(b"x"), JSON | {"idempotency-key": key}), 422, "invalid_input")


@pytest.mark.parametrize("key", ["*", "{jobs}:stream", "../../etc/passwd", "a" * 255])
def test_a_key_may_be_anything_else(api: Api, key: str) -> None:
    keyed = JSON | {"idempotency-key": key}
    assert api.enqueued(headers=keyed) == api.enqueued(headers=keyed)


def test_a_full_queue_says_so_and_when_to_come_again(redis_url: str, cat: Path) -> None:
    with Api(settings_of(redis_url, cat, max_queue=2)).serving() as api:
        first, _ = api.enqueued(), api.enqueued()
        answer = api.ask("POST", "/predict", body_of(b"one too many"))
        refused(answer, 429, "too_many_requests")
        assert (answer.error["details"]["depth"], int(answer.headers["retry-after"]) >= 1) == (2, True)
        refused(api.ask("GET", "/predict/test"), 429, "too_many_requests")
        api.ask("DELETE", f"/job/{first}")
        api.enqueued()


def test_a_repeated_request_is_known_also_while_the_queue_is_full(redis_url: str, cat: Path) -> None:
    keyed = JSON | {"idempotency-key": "order-7"}
    with Api(settings_of(redis_url, cat, max_queue=1)).serving() as api:
        assert api.enqueued(headers=keyed) == api.enqueued(headers=keyed)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"cat", 400),
        (b'{"image_data": NaN}', 400),
        (b"\xff", 400),
        (body_of(b"cat")[:-3], 400),
        (b"{}", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"image_data": ""}', 422),
        (b'{"image_data": null}', 422),
        (b'{"image_data": 7}', 422),
        (b'{"image_data": "cat!"}', 422),
        (b'{"image_data": "YQ="}', 422),
        (b'{"image_data": "YQ==", "more": 1}', 422),
        (b'{"data": "YQ=="}', 422),
        (b'{"image_data": ' + b"[" * 100_000, 422),
    ],
)
def test_a_body_that_is_none_is_refused_and_makes_no_job(api: Api, body: bytes, status: int) -> None:
    refused(api.ask("POST", "/predict", body), status, {400: "invalid_json", 422: "invalid_input"}[status])
    assert api.ask("GET", "/queue").json["depth"] == 0


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "", "application/jsonx"])
def test_another_content_type_is_a_415(api: Api, kind: str) -> None:
    refused(api.ask("POST", "/predict", body_of(b"cat"), {"content-type": kind}), 415, "unsupported_media_type")


def test_a_picture_that_is_too_large_is_a_413_and_the_largest_is_taken(redis_url: str, cat: Path) -> None:
    with Api(settings_of(redis_url, cat, max_body_bytes=20_000)).serving() as api:
        largest = b"x" * ((20_000 - len(body_of(b""))) // 4 * 3)
        api.enqueued(largest)
        refused(api.ask("POST", "/predict", body_of(largest + b"xxx")), 413, "payload_too_large")
        assert api.ask("GET", "/queue").json["depth"] == 1


def test_every_character_of_base64_arrives(api: Api) -> None:
    picture = bytes(range(256)) * 3
    for encoded in (base64.b64encode(picture), base64.b64encode(picture).replace(b"/", b"\\/")):
        answer = api.ask("POST", "/predict", b'{"image_data": "%s"}' % encoded)
        assert answer.status == 200, answer
    assert [lease.picture for lease in api.leased(2)] == [picture, picture]


@pytest.mark.parametrize("result", [b"", b"\x00", b"{}", b'{"label": "cat"', RESULT.encode()[:-5]])
def test_a_result_that_is_damaged_or_of_another_version_is_no_prediction(
    api: Api, redis_url: str, result: bytes
) -> None:
    job_id = api.enqueued()
    finish(api)
    with connect_blocking(redis_url) as client:
        client.hset(f"{{jobs}}:job:{job_id}", "result", result)
    damaged = api.state(job_id)
    assert (damaged["state"], damaged["prediction"]) == ("dead", "")
    assert "send the picture again" in damaged["reason"]


@pytest.mark.parametrize("field", [{"v": "2"}, {"v": ""}, {"state": ""}, {"attempts": "x"}])
def test_a_record_of_another_version_is_a_404(api: Api, redis_url: str, field: dict[str, str]) -> None:
    job_id = api.enqueued()
    with connect_blocking(redis_url) as client:
        client.hset(f"{{jobs}}:job:{job_id}", mapping=field)
    answer = api.ask("GET", f"/job/{job_id}")
    assert answer.status in (200, 404), answer
    if answer.status == 200:
        assert answer.json[job_id]["prediction"] == ""


def test_a_record_of_another_type_is_a_404(api: Api, redis_url: str) -> None:
    job_id = api.enqueued()
    with connect_blocking(redis_url) as client:
        client.delete(f"{{jobs}}:job:{job_id}")
        client.set(f"{{jobs}}:job:{job_id}", "junk")
    refused(api.ask("GET", f"/job/{job_id}"), 404, "not_found")
    assert api.ask("DELETE", f"/job/{job_id}").status == 200


def test_while_redis_is_away_everything_is_a_503_and_then_goes_on(own_redis: RedisServer, cat: Path) -> None:
    with Api(settings_of(own_redis.url(), cat)).serving() as api:
        job_id = api.enqueued()
        own_redis.kill()
        for method, path in [
            ("POST", "/predict"),
            ("GET", "/predict/test"),
            ("GET", f"/job/{job_id}"),
            ("DELETE", f"/job/{job_id}"),
            ("GET", f"/job/{job_id}/events"),
            ("GET", "/queue"),
            ("GET", "/ready"),
        ]:
            answer = api.ask(method, path, body_of(b"a picture") if method == "POST" else b"")
            refused(answer, 503, "not_ready")
            assert answer.headers["retry-after"] == "1"
        for path in ("/health", "/label", "/metadata", "/metrics"):
            assert api.ask("GET", path).status == 200
        own_redis.start()
        assert api.state(job_id)["state"] == "queued"
        assert api.ask("GET", "/ready").json == {"redis": "ok"}
        api.enqueued()
        assert api.ask("GET", "/queue").json["depth"] == 2


def test_what_a_full_redis_cannot_hold_is_a_503_and_nothing_of_it_is_kept(own_redis: RedisServer, cat: Path) -> None:
    with Api(settings_of(own_redis.url(), cat)).serving() as api, connect_blocking(own_redis.url()) as client:
        job_id = api.enqueued()
        client.config_set("maxmemory", 1)
        refused(api.ask("POST", "/predict", body_of(b"another")), 503, "not_ready")
        assert api.ask("GET", "/queue").json["depth"] == 1
        finish(api)
        client.config_set("maxmemory", 0)
        assert api.state(job_id)["prediction"] == "cat"
        api.enqueued()


def test_the_labels_and_what_goes_in_and_out_are_told(api: Api) -> None:
    assert api.ask("GET", "/label").json[3] == "cat"
    about = api.ask("GET", "/metadata").json
    assert about["model"] == {"name": "cifar10_large"}
    assert api.ask("POST", "/predict", json.dumps({"image_data": about["data_sample"]}).encode()).status == 200


def test_the_document_names_the_key_and_every_refusal(api: Api) -> None:
    upload = api.app.openapi()["paths"]["/predict"]["post"]
    assert {"400", "408", "409", "413", "415", "422", "429", "503", "504"} <= set(upload["responses"])
    assert [parameter["name"] for parameter in upload["parameters"]] == ["idempotency-key"]
    assert api.app.openapi()["paths"]["/job/{job_id}/events"]["get"]["responses"]["200"]["content"].keys() == {
        "text/event-stream"
    }


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_sample_that_cannot_be_used_prevents_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "sample.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StartupError, match=r"SAMPLE_PATH=.*sample\.png cannot be used \(.*\): write the sample"):
        create_app(settings_of("redis://127.0.0.1:1/0", path))


@pytest.mark.parametrize("values", [{}, {"redis_url": "127.0.0.1"}, {"redis_url": "http://:secret@127.0.0.1"}])
def test_a_redis_that_is_not_named_or_wrongly_prevents_the_start(
    cat: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SettingsError, match="REDIS_URL") as told:
        create_app(Settings(**values, sample_path=cat))
    assert "secret" not in str(told.value)


def test_it_is_alive_and_not_ready_where_no_redis_is(cat: Path) -> None:
    app = create_app(settings_of("redis://127.0.0.1:1/0", cat))
    assert call(app, "GET", "/health").json == {"health": "ok"}
    assert "redis" in refused(call(app, "GET", "/ready"), 503, "not_ready")


def test_no_route_leaves_a_key_without_the_tag_by_which_a_cluster_keeps_them_together(api: Api, redis_url: str) -> None:
    api.enqueued(headers=JSON | {"idempotency-key": "order-7"})
    finish(api)
    with connect_blocking(redis_url) as client:
        assert all(name.startswith(b"{jobs}:") for name in client.scan_iter())
        assert isinstance(client, redis.Redis)
