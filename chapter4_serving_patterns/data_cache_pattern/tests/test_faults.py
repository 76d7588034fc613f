"""What callers see while Redis, the source or an item fails, and after it. Everything is real."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlsys import pictures
from mlsys.redis import connect_blocking
from mlsys.redis_server import RedisServer
from mlsys.testing import eventually

from .conftest import Begin, Running, key

BATCH = b'{"data": ["0000", "0001"]}'


def hit(app: Running) -> bool:
    return app.label("0000").headers["x-cache"] == "hit"


def test_redis_is_killed_and_every_answer_comes_from_the_source_until_it_is_back_with_what_it_had(
    begin: Begin, own_redis: RedisServer
) -> None:
    app = begin(redis_url=own_redis.url(), cache_pause_s=0.1)
    eventually(lambda: hit(app), deadline_s=20)
    with connect_blocking(own_redis.url()) as redis:
        redis.execute_command("BGREWRITEAOF")  # the log, on the disk, before the crash
        eventually(lambda: not redis.info("persistence")["aof_rewrite_in_progress"], deadline_s=20)
    own_redis.kill()
    for _ in range(20):
        answer = app.label("0000")
        assert (answer.status, answer.json, answer.headers["x-cache"]) == (200, {"prediction": "cat"}, "bypass")
    ready = app.ask("GET", "/ready")
    assert (ready.status, ready.json["cache"][:5]) == (200, "away:")
    assert app.ask("POST", "/predict/batch", BATCH).json["predictions"]["0001"]["cache"] == "bypass"
    own_redis.start()
    fills = app.counted("filled")
    eventually(lambda: hit(app), deadline_s=20)
    assert app.counted("filled") == fills, "what it had was fetched again"


def test_redis_hangs_and_callers_wait_for_it_once_in_a_while_and_not_each_time(
    begin: Begin, own_redis: RedisServer
) -> None:
    app = begin(redis_url=own_redis.url(), cache_timeout_s=0.5, cache_pause_s=600)
    eventually(lambda: app.label("0000").status == 200 and app.counted("filled"), deadline_s=20)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        answers = [app.label("0000") for _ in range(10)]
        assert {(answer.status, answer.headers["x-cache"]) for answer in answers} == {(200, "bypass")}
        began = time.monotonic()
        assert app.label("0000").status == 200
        assert app.counted("bypass") >= 11
        assert time.monotonic() - began < 30  # of it Redis had none: it is being left alone
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)


def test_redis_is_full_and_what_it_has_is_used_and_the_rest_is_answered(begin: Begin, own_redis: RedisServer) -> None:
    app = begin(redis_url=own_redis.url())
    eventually(lambda: hit(app), deadline_s=20)
    with connect_blocking(own_redis.url()) as redis:
        redis.config_set("maxmemory", 1)
        redis.config_set("maxmemory-policy", "noeviction")
        assert hit(app)
        assert app.label("0001").headers["x-cache"] == "miss"
        eventually(lambda: app.counted("not_filled"), deadline_s=10)
        assert app.label("0001").headers["x-cache"] == "miss"
        redis.config_set("maxmemory", 0)
    eventually(lambda: app.label("0001").headers["x-cache"] == "hit", deadline_s=20)


def test_what_is_no_value_of_ours_in_redis_is_a_miss_and_is_replaced(begin: Begin, items: Path, redis_url: str) -> None:
    app = begin()
    eventually(lambda: hit(app), deadline_s=20)
    with connect_blocking(redis_url) as redis:
        good = redis.get(key(items, "0000"))
        assert isinstance(good, bytes)
        for bad in (b"", b"garbage", good[:-1], b"\x00" + good[1:], b"[[0.1]]", os.urandom(len(good)), good * 1000):
            redis.set(key(items, "0000"), bad)
            answer = app.label("0000")
            assert (answer.status, answer.json, answer.headers["x-cache"]) == (200, {"prediction": "cat"}, "miss")
            eventually(lambda: len(redis.get(key(items, "0000")) or b"") == len(good), deadline_s=10)
        redis.delete(key(items, "0000"))
        redis.lpush(key(items, "0000"), "a list")
        assert app.label("0000").headers["x-cache"] == "miss"
        eventually(lambda: redis.type(key(items, "0000")) == b"string", deadline_s=10)


def test_a_deleted_file_is_a_404_that_is_remembered_and_forgotten_again(
    begin: Begin, items: Path, redis_url: str
) -> None:
    app = begin(absent_s=600)
    gone = (items / "0003-motorcycle.png").rename(items / "elsewhere.png")
    for _ in range(2):
        answer = app.label("0003")
        assert (answer.status, answer.error["code"]) == (404, "not_found")
        assert (
            answer.error["message"] == "Item '0003' has no usable picture: the source has no file 0003-motorcycle.png."
        )
        eventually(lambda: app.counted("filled"), deadline_s=10)
    assert app.counted("filled") == 1
    gone.rename(items / "0003-motorcycle.png")
    assert app.label("0003").status == 404
    assert app.label("0003", cache_control="no-cache").status == 200
    with connect_blocking(redis_url) as redis:
        eventually(lambda: redis.strlen(key(items, "0003")) == 3072 + 23, deadline_s=10)
    assert app.label("0003").headers["x-cache"] == "hit"


def test_an_item_that_leaves_the_index_is_a_404_though_the_cache_has_it(begin: Begin, items: Path) -> None:
    app = begin(warm_every_s=0.1)
    eventually(lambda: hit(app), deadline_s=20)
    names = json.loads((items / "index.json").read_text())
    del names["0000"]
    (items / "new.json").write_text(json.dumps(names | {"0008": "0000-cat.png"}))
    (items / "new.json").replace(items / "index.json")
    eventually(lambda: app.label("0000").status == 404, deadline_s=20)
    assert app.label("0008").json == {"prediction": "cat"}


def test_a_damaged_picture_is_a_404_with_the_reason_and_takes_nothing_else_along(begin: Begin, items: Path) -> None:
    (items / "0001-coffee.png").write_bytes(pictures.content("coffee")[:1000])
    (items / "0002-horse.png").write_bytes(b"")
    app = begin()
    answer = app.label("0001")
    assert answer.status == 404
    assert answer.error["message"].startswith(
        "Item '0001' has no usable picture: its picture cannot be used: The picture"
    )
    found = app.ask("POST", "/predict/batch", b'{"data": ["0000", "0001", "0002"]}').json["predictions"]
    assert found["0000"]["label"] == "cat"
    assert [found[item]["error"]["code"] for item in ("0001", "0002")] == ["not_found", "not_found"]


def test_a_source_that_goes_away_leaves_what_is_cached_and_is_a_503_for_the_rest(begin: Begin, items: Path) -> None:
    app = begin(renew_s=0.001, warm_every_s=0.1)  # everything is old at once, and tried to be renewed
    eventually(lambda: app.label("0000").headers["x-cache"] == "stale", deadline_s=20)
    items.rename(items.parent / "away")  # as a volume that is not mounted any more
    for _ in range(5):
        answer = app.label("0000")
        assert (answer.status, answer.headers["x-cache"]) == (200, "stale")
    eventually(lambda: app.counted("not_fetched"), deadline_s=20)
    refused = app.label("0001")
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "not_ready", "1")
    found = app.ask("POST", "/predict/batch", BATCH).json["predictions"]
    assert (found["0000"]["label"], found["0001"]["error"]["code"]) == ("cat", "not_ready")
    eventually(lambda: app.ask("GET", "/ready").json["source"].startswith("away: "), deadline_s=20)
    (items.parent / "away").rename(items)
    eventually(lambda: app.label("0001").status == 200, deadline_s=20)
    eventually(lambda: app.ask("GET", "/ready").json["source"] == "ok", deadline_s=20)


@pytest.mark.parametrize(("expired", "status"), [("refetch", 200), ("refuse", 503)])
def test_an_expired_tensor_is_fetched_anew_or_refused_as_it_is_set(begin: Begin, expired: str, status: int) -> None:
    app = begin(renew_s=0.001, expire_s=0.002, expired=expired)
    assert app.label("0000").status == 200
    eventually(lambda: app.counted("filled"), deadline_s=10)
    answer = app.label("0000")
    assert answer.status == status
    if expired == "refetch":
        assert answer.headers["x-cache"] == "expired"
    else:
        assert "old, and is being renewed; try again" in answer.error["message"]
        assert answer.headers["retry-after"] == "1"
        eventually(lambda: app.counted("filled") >= 2, deadline_s=10)


class Shop:
    """An HTTP source of one picture, with a door that can be shut; how often each path was asked for."""

    def __init__(self, port: int = 0) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.asked.append(self.path)
                content = b'{"0000": "cat.png", "0001": "none.png"}'
                if not self.path.endswith("index.json"):
                    shop.open.wait(60)
                    content = pictures.content("cat")
                self.send_response(404 if "none" in self.path else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """The test asks what it wants to know."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pictures/"


@contextmanager
def serving(shop: Shop) -> Iterator[Shop]:
    thread = threading.Thread(target=shop.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield shop
    finally:
        shop.open.set()
        shop.server.shutdown()
        shop.server.server_close()
        thread.join()


def test_a_slow_source_is_asked_once_for_all_who_wait_and_given_up_in_time(begin: Begin) -> None:
    with serving(Shop()) as shop:
        app = begin(source=shop.url, source_timeout_s=1.5)
        shop.open.clear()
        waiting = [app.begin("POST", "/predict/label", b'{"data": "0000"}') for _ in range(20)]
        answers = [each.result(60) for each in waiting]
        assert {(answer.status, answer.error["code"]) for answer in answers} == {(504, "deadline_exceeded")}
        assert shop.asked.count("/pictures/cat.png") == 1
        assert f"{shop.url}cat.png within 1.5 s" in answers[0].error["message"]
        assert app.ask("GET", "/health").status == 200
        shop.open.set()
        assert app.label("0000").json == {"prediction": "cat"}


def test_a_slow_source_is_waited_for_by_nobody_whose_tensor_is_only_old(begin: Begin) -> None:
    with serving(Shop()) as shop:
        app = begin(source=shop.url, source_timeout_s=60, renew_s=0.001)
        eventually(lambda: app.label("0000").headers["x-cache"] == "stale", deadline_s=20)
        shop.open.clear()
        for _ in range(3):
            assert app.label("0000").headers["x-cache"] == "stale"


def test_a_file_that_the_http_source_does_not_have_is_asked_for_once(begin: Begin) -> None:
    with serving(Shop()) as shop:
        app = begin(source=shop.url, absent_s=600)
        assert app.label("0001").status == 404
        eventually(lambda: app.counted("filled"), deadline_s=10)
        assert [app.label("0001").status for _ in range(3)] == [404, 404, 404]
        assert shop.asked.count("/pictures/none.png") == 1


def test_an_http_source_that_dies_and_comes_back_is_used_again(begin: Begin) -> None:
    with serving(Shop()) as shop:
        app = begin(source=shop.url)
        eventually(lambda: hit(app), deadline_s=20)
        port = shop.server.server_port
    assert app.label("0000", cache_control="no-cache").status == 503
    assert hit(app)
    with serving(Shop(port)):
        assert eventually(lambda: app.label("0000", cache_control="no-cache").status == 200, deadline_s=20)
