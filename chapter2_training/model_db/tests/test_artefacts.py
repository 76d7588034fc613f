"""Model files come and go whole, checked, in pieces, and whatever else is sent is refused and leaves nothing."""

import asyncio
import hashlib
import json
import os
import resource
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlsys.app import Service
from mlsys.edge import Message
from mlsys.errors import InvalidInput, ModelError, NotReady, StartupError, Unauthorized
from mlsys.testing import Answer, call, exchange

from ..artefacts import Store
from ..incoming import Incoming, add
from ..inspection import inspect
from ..ranges import part
from ..settings import Settings
from ..transfers import PREFIX, add_transfers
from . import networks

MODEL = networks.network()
DIGEST = hashlib.sha256(MODEL).hexdigest()
OTHER = "0" * 64


def everybody() -> None:
    """Lets everybody write."""


def nobody() -> None:
    raise Unauthorized("Writing needs a token.")


def app_of(store: Store, *, may_write: Callable[[], None] = everybody, largest: int = 1 << 30) -> Service:
    url = SecretStr("postgresql://nobody@127.0.0.1:1/none")
    settings = Settings(database_url=url, open_writes=True, access_log=False, max_artefact_bytes=largest)
    service = Service(title="artefacts", description="", settings=settings)
    add_transfers(service, store, settings, may_write)
    return service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artefacts"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(str(folder), memory_bytes=1 << 30, timeout_s=20)


@pytest.fixture
def app(store: Store) -> Service:
    return app_of(store)


def put(app: Service, content: bytes, digest: str | None = None) -> Answer:
    return call(app, "PUT", f"{PREFIX}/{digest or hashlib.sha256(content).hexdigest()}", content, {})


def get(app: Service, digest: str = DIGEST, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(app, method, f"{PREFIX}/{digest}", b"", named)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_uploaded_model_is_kept_under_its_digest_and_described(app: Service, folder: Path) -> None:
    first, again = put(app, MODEL), put(app, MODEL)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert first.json == {
        "sha256": DIGEST,
        "size_bytes": len(MODEL),
        "signature": {
            "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1, 4]}],
        },
        "document": None,
    }
    assert names(folder) == [f"{DIGEST}.json", f"{DIGEST}.onnx"]
    assert (folder / f"{DIGEST}.onnx").read_bytes() == MODEL


def test_the_document_in_a_file_is_read_out_of_it(app: Service, models: Path) -> None:
    content = (models / "iris_svc" / "model.onnx").read_bytes()
    document = put(app, content).json["document"]
    assert document["name"] == "iris_svc"
    assert document["metrics"]["accuracy"] > 0.9


def test_a_file_can_be_fetched_whole_in_parts_and_not_at_all(app: Service) -> None:
    put(app, MODEL)
    whole = get(app)
    assert (whole.status, whole.body) == (200, MODEL)
    assert (whole.headers["etag"], whole.headers["content-length"]) == (f'"{DIGEST}"', str(len(MODEL)))
    rest = get(app, range="bytes=10-")
    assert (rest.status, rest.body) == (206, MODEL[10:])
    assert rest.headers["content-range"] == f"bytes 10-{len(MODEL) - 1}/{len(MODEL)}"
    assert get(app, range="bytes=10-", if_range=f'"{OTHER}"').status == 200
    beyond = get(app, range=f"bytes={len(MODEL)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(MODEL)}")
    assert beyond.error["message"]
    for tag in (f'"{DIGEST}"', f'"other", W/"{DIGEST}"', "*"):
        known = get(app, if_none_match=tag)
        assert (known.status, known.body) == (304, b"")
    assert get(app, if_none_match=f'"{OTHER}"').status == 200
    head = get(app, method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(MODEL)), b"")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=7-9", (7, 10)),
        ("bytes=7-1000", (7, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=9-7", (0, 100)),
        ("bytes=0-1,5-6", (0, 100)),
        ("bytes=-", (0, 100)),
        ("bytes=a-b", (0, 100)),
        ("bytes=\u0661-", (0, 100)),
        (f"bytes={'9' * 5000}-", (0, 100)),
        ("lines=1-2", (0, 100)),
    ],
)
def test_a_range_is_understood_or_ignored(header: str, expected: tuple[int, int]) -> None:
    assert part(header, 100) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No graph was found"),
        (networks.trap(), "it is a pickle, which is a program and no model"),
        (networks.zip_bomb(), "it is a zip archive"),
        (b"\x1f\x8b" + bytes(100), "it is a gzip archive"),
        (b"a model, honestly" * 100, "it is not a whole ONNX file"),
        (MODEL[:-7], "it is not a whole ONNX file"),
        (networks.external(nested=False), "it keeps tensors in other files"),
        (networks.external(nested=True), "it keeps tensors in other files"),
        (networks.of([], 4, 4), "ONNX Runtime refuses it"),
        (networks.hungry(), "alloc"),
        (networks.with_document("{}"), "its `mlsys` property is not a valid metadata document"),
        (networks.with_document("[" * 100_000), "its `mlsys` property is not a valid metadata document"),
        (b"\xff" * 10_000, "it is not a whole ONNX file"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason_and_leaves_nothing(
    app: Service, folder: Path, content: bytes, reason: str
) -> None:
    answer = put(app, content)
    assert (answer.status, answer.error["code"]) == (422, "invalid_input")
    assert reason in answer.error["message"]
    assert names(folder) == []
    assert put(app, MODEL).status == 201


def test_a_model_that_never_answers_is_given_up(folder: Path) -> None:
    app = app_of(Store(str(folder), memory_bytes=1 << 30, timeout_s=2))
    answer = put(app, networks.endless())
    assert (answer.status, "within 2 s" in answer.error["message"]) == (422, True)
    assert names(folder) == []


def test_a_model_that_needs_more_memory_than_the_check_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(networks.network(columns=4, width=3_000_000))
    with pytest.raises(ModelError, match="takes more than 268435456 bytes of memory"):
        inspect(path, memory_bytes=1 << 28, timeout_s=20)


def test_a_nul_in_the_document_is_refused_which_no_database_keeps(app: Service, models: Path) -> None:
    import onnx

    model = onnx.load_from_string((models / "iris_svc" / "model.onnx").read_bytes())
    (kept,) = model.metadata_props
    kept.value = kept.value.replace('"iris_svc"', '"iris\\u0000svc"')
    answer = put(app, model.SerializeToString())
    assert (answer.status, "NUL" in answer.error["message"]) == (422, True)


def test_a_body_that_is_not_what_the_path_says_is_refused(app: Service, folder: Path) -> None:
    answer = put(app, MODEL, OTHER)
    assert answer.status == 422
    assert answer.error["message"] == f"The body has the sha256 {DIGEST}, and the path says {OTHER}."
    put(app, MODEL)
    assert put(app, b"something else", DIGEST).status == 422
    assert get(app).body == MODEL
    assert names(folder) == [f"{DIGEST}.json", f"{DIGEST}.onnx"]


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "A" * 64, "a" * 63, "a" * 65, DIGEST + "\n", "\u0661" * 64, "x" * 10_000, "' OR 1=1 --"]
)
def test_what_is_no_digest_is_refused_before_any_path_is_made_of_it(app: Service, folder: Path, name: str) -> None:
    for method in ("GET", "HEAD", "PUT"):
        answer = call(app, method, f"{PREFIX}/{name}", MODEL if method == "PUT" else b"", {})
        assert answer.status == 422
    assert not folder.exists()


def test_an_artefact_that_is_not_there_is_a_404(app: Service) -> None:
    assert get(app, OTHER).error["code"] == "not_found"
    assert get(app, OTHER, "HEAD").status == 404


def test_a_body_over_the_cap_is_a_413_and_leaves_nothing(store: Store, folder: Path) -> None:
    app = app_of(store, largest=1000)
    for body in (bytes(1001), [bytes(500)] * 3):
        answer = call(app, "PUT", f"{PREFIX}/{OTHER}", body, {})
        assert (answer.status, answer.error["code"]) == (413, "payload_too_large")
    assert not folder.exists() or names(folder) == []


def test_who_may_not_write_is_refused_before_the_body_is_read(store: Store, folder: Path) -> None:
    async def scenario() -> Answer:
        app = app_of(store, may_write=nobody)
        return await exchange(app, "PUT", f"{PREFIX}/{DIGEST}", [], {"content-length": "1000"})

    assert asyncio.run(scenario()).error["code"] == "unauthorized"
    assert not folder.exists()


def test_a_caller_who_leaves_in_the_middle_leaves_nothing(app: Service, folder: Path) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": MODEL[:50], "more_body": True},
        {"type": "http.disconnect"},
    ]
    asyncio.run(exchange(app, "PUT", f"{PREFIX}/{DIGEST}", messages, {"content-length": str(len(MODEL))}))
    assert names(folder) == []


def test_uploads_of_the_same_file_at_once_all_succeed(app: Service, folder: Path) -> None:
    messages: list[Message] = [{"type": "http.request", "body": MODEL, "more_body": False}]

    async def scenario() -> list[Answer]:
        uploads = [exchange(app, "PUT", f"{PREFIX}/{DIGEST}", messages, {}) for _ in range(4)]
        return await asyncio.gather(*uploads)

    assert {answer.status for answer in asyncio.run(scenario())} <= {200, 201}
    assert names(folder) == [f"{DIGEST}.json", f"{DIGEST}.onnx"]


def test_a_file_that_was_damaged_in_the_store_is_not_given_and_repaired_by_the_next_upload(
    app: Service, folder: Path
) -> None:
    put(app, MODEL)
    for ending, damage in ((".onnx", b"x"), (".json", b"{")):
        (folder / f"{DIGEST}{ending}").write_bytes(damage)
        answer = get(app)
        assert (answer.status, "is damaged" in answer.error["message"]) == (503, True)
        assert put(app, MODEL).status == 201
        assert get(app).body == MODEL


def test_a_store_that_cannot_be_written_is_a_503_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(str(tmp_path / "file"))
    answer = put(app_of(store), MODEL)
    assert (answer.status, answer.error["code"]) == (503, "not_ready")
    with pytest.raises(NotReady, match="does not answer"):
        store.check()


def test_an_upload_that_the_disk_has_no_room_for_is_a_503_and_leaves_nothing(app: Service, folder: Path) -> None:
    content = networks.network(columns=4, width=1 << 18)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        answer = put(app, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (answer.status, answer.error["message"]) == (503, "The upload cannot be written: File too large.")
    assert names(folder) == []
    assert put(app, content).status == 201


def test_a_store_that_can_be_written_is_ready_and_left_as_it_was(store: Store, folder: Path) -> None:
    store.check()
    assert names(folder) == []


def test_a_store_that_was_writable_a_moment_ago_is_not_written_to_and_one_that_was_not_is_tried_again(
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    place.touch()
    store = Store(str(place))
    for _ in range(2):
        with pytest.raises(NotReady):
            store.check()
    place.unlink()
    store.check()
    before = place.stat().st_mtime_ns
    store.check()
    assert place.stat().st_mtime_ns == before


def test_a_url_that_no_file_system_has_is_told_without_its_password() -> None:
    with pytest.raises(StartupError, match=r"^ARTEFACTS_URL begins with nosuch://, which cannot be used: ") as told:
        Store("nosuch://user:password@host/bucket").check()
    assert "password" not in str(told.value)


def test_a_bucket_takes_and_gives_files_as_a_folder_does(tmp_path: Path) -> None:
    store = Store("memory://artefacts/bucket")
    app = app_of(store)
    store.check()
    assert put(app, MODEL).status == 201
    assert put(app, MODEL).status == 200
    assert get(app, range="bytes=5-9").body == MODEL[5:10]
    assert put(app, b"no model").status == 422
    assert store.sweep() == 0


def test_what_a_crash_has_left_is_swept_when_it_is_old_and_an_upload_is_not(folder: Path) -> None:
    store = Store(str(folder), stale_s=100)
    assert store.sweep() == 0
    crashed = store.part()
    crashed.write_bytes(MODEL)
    os.utime(crashed, (time.time() - 101,) * 2)
    with Incoming(store) as arriving:
        arriving.write(MODEL)
        assert store.sweep() == 1
        assert arriving.keep().sha256 == DIGEST
    assert names(folder) == [f"{DIGEST}.json", f"{DIGEST}.onnx"]


def test_a_file_of_this_machine_is_added_as_an_upload_is(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL)
    assert add(store, path) == add(store, path) == store.facts(DIGEST)
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"model\.onnx cannot be used: it is not a whole ONNX file"):
        add(store, path)
    with pytest.raises(ModelError, match=r"nowhere\.onnx cannot be read"):
        add(store, tmp_path / "nowhere.onnx")
    with pytest.raises(InvalidInput, match="is no sha256"):
        store.facts("../secret")


def test_a_large_file_goes_both_ways_in_pieces(store: Store, folder: Path) -> None:
    app = app_of(store)
    content = networks.network(columns=4, width=1 << 21)  # 32 MiB
    digest = hashlib.sha256(content).hexdigest()
    pieces: list[Message] = [
        {"type": "http.request", "body": content[at : at + 65536], "more_body": True}
        for at in range(0, len(content), 65536)
    ]
    pieces.append({"type": "http.request", "body": b"", "more_body": False})
    tracemalloc.start()
    try:
        assert asyncio.run(exchange(app, "PUT", f"{PREFIX}/{digest}", pieces, {})).status == 201
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        assert asyncio.run(_received(app, f"{PREFIX}/{digest}")) == len(content)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert json.loads((folder / f"{digest}.json").read_bytes())["size_bytes"] == len(content)


async def _received(app: Service, path: str) -> int:
    """Bytes of the body, none of which is kept."""
    size = 0
    gone = asyncio.Event()

    async def receive() -> Message:
        if not gone.is_set():
            gone.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal size
        size += len(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return size
