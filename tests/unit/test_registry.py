"""The client of a registry, against a server that can lie, fail, break off and hang."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pydantic import SecretStr

from mlsys import artefact, registration
from mlsys.errors import (
    BadGateway,
    Conflict,
    InvalidInput,
    ModelError,
    NotFound,
    NotReady,
    Refused,
    ServiceError,
    StartupError,
    Unauthorized,
)
from mlsys.ports import free_port
from mlsys.registry import Registry, Release

FILE = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(FILE).hexdigest()
Answer = tuple[int, dict[str, str], bytes]


def told(status: int, answer: object, **headers: str) -> Answer:
    return status, headers, json.dumps(answer).encode()


def refused(status: int, code: str, details: object = None) -> Answer:
    error = {"code": code, "message": "No, because.", "request_id": "1", "details": details}
    return told(status, {"error": error})


def version(name: str = "1.0.0-iris.1", sha256: str = DIGEST, **more: object) -> dict[str, object]:
    return {
        "id": "v1",
        "model_id": "m1",
        "model_name": "iris",
        "name": name,
        "sha256": sha256,
        "size_bytes": len(FILE),
        "data_sha256": "d1",
        "unknown": [1],
        **more,
    }


class Liar(ThreadingHTTPServer):
    """Answers as the test says.

    answers: for "METHOD path" what is answered in turn, the last one for ever. asked: what was, with headers and body.
    cut_after: bytes of a body after which the connection is closed, in turn; None does not.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.cut_after: list[int | None] = []
        self.file: bytes | None = None
        self.ranges = True

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.asked if body]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        given = {name.lower(): value for name, value in self.headers.items()}
        asked = f"{self.command} {self.path.removeprefix('/v1/')}"
        self.server.asked.append((asked, given, body))
        status, headers, content = self._chosen(asked, given)
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"content-length": str(len(content)), **named}.items():
            self.send_header(name, value)
        self.end_headers()
        limit = self.server.cut_after.pop(0) if self.server.cut_after and status < 300 else None
        self.wfile.write(content[:limit])
        if limit is not None:
            self.close_connection = True

    def _chosen(self, asked: str, named: dict[str, str]) -> Answer:
        if self.server.file is not None and asked.startswith("GET api/artefacts/"):
            start = re.fullmatch(r"bytes=(\d+)-", named.get("range", ""))
            if not start or not self.server.ranges:
                return 200, {}, self.server.file
            first, size = int(start[1]), len(self.server.file)
            return 206, {"content_range": f"bytes {first}-{size - 1}/{size}"}, self.server.file[first:]
        answers = self.server.answers.get(asked, [refused(404, "not_found")])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    do_GET = do_POST = do_PUT = do_HEAD = _answer  # noqa: N815  # the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Liar]:
    with Liar() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def registry(server: Liar) -> Iterator[Registry]:
    registry = Registry(server.url, SecretStr("open sesame"))
    yield registry
    registry.close()


@pytest.fixture
def release(server: Liar, registry: Registry) -> Release:
    server.answers["GET api/models/name/iris/aliases/champion"] = [told(200, version())]
    return registry.alias("iris", "champion")


def test_an_alias_is_asked_for_by_name_and_is_a_version(release: Release) -> None:
    assert (release.model, release.version, release.sha256) == ("iris", "1.0.0-iris.1", DIGEST)


def test_an_alias_that_did_not_move_is_answered_without_a_body(server: Liar, registry: Registry) -> None:
    path = "GET api/models/name/iris/aliases/champion"
    server.answers[path] = [told(200, version(), etag='"1"'), (304, {"content_length": "0"}, b"")]
    first = registry.alias("iris", "champion")
    assert registry.alias("iris", "champion") is first
    assert server.asked[1][1]["if-none-match"] == '"1"'
    server.answers[path] = [told(200, version("1.0.1-iris.1"), etag='"2"')]
    assert registry.alias("iris", "champion").version == "1.0.1-iris.1"


def test_names_are_one_segment_of_the_path_whatever_they_are(server: Liar, registry: Registry) -> None:
    for name in ("../secret", "a/b", "a?b#c", "名前", "' OR 1=1 --"):
        with pytest.raises(NotFound):
            registry.alias(name, "champion")
    assert all(len(path.split("/")) == 6 for path in server.paths())


def test_the_token_is_sent_as_bearer(server: Liar, registry: Registry) -> None:
    server.answers["GET health"] = [told(200, {"health": "ok"})]
    registry.check()
    assert server.asked[0][1]["authorization"] == "Bearer open sesame"


def test_a_redirect_is_not_followed_so_that_nobody_else_gets_the_token(server: Liar, registry: Registry) -> None:
    server.answers["GET health"] = [(302, {"location": f"{server.url}/v1/elsewhere"}, b"")]
    with pytest.raises(BadGateway, match="says: 302 to health"):
        registry.check()
    assert server.paths() == ["GET health"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthorized", Unauthorized),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (409, "refused", Refused),
        (422, "invalid_input", InvalidInput),
        (504, "deadline_exceeded", NotReady),
        (500, "internal", BadGateway),
    ],
)
def test_a_refusal_is_the_error_that_the_registry_named_with_its_details(
    server: Liar, registry: Registry, status: int, code: str, kind: type[ServiceError]
) -> None:
    server.answers["POST api/models/m1/aliases/champion"] = [refused(status, code, ["too low"])]
    with pytest.raises(kind, match=r"says: No, because\.$") as told:
        registry.promote("m1", "champion", "v1", who="me", why="better")
    assert told.value.details == ["too low"]


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"id": 1}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none_is_told(server: Liar, registry: Registry, answer: bytes) -> None:
    server.answers["GET api/models/name/iris/aliases/champion"] = [(200, {}, answer)]
    with pytest.raises(BadGateway, match="gives no answer to api/models/name/iris/aliases/champion"):
        registry.alias("iris", "champion")
    server.answers["GET api/models/name/iris/aliases/champion"] = [(400, {}, answer)]
    with pytest.raises(BadGateway, match="says: 400 to api/models/name/iris/aliases/champion"):
        registry.alias("iris", "champion")


def test_what_may_be_repeated_is_repeated_while_the_registry_is_not_ready(server: Liar, registry: Registry) -> None:
    server.answers["GET health"] = [refused(503, "not_ready"), refused(503, "not_ready"), told(200, {"health": "ok"})]
    registry.check()
    assert len(server.asked) == 3


def test_a_promotion_is_not_repeated_since_it_may_have_counted(server: Liar, registry: Registry) -> None:
    server.answers["POST api/models/m1/aliases/champion"] = [refused(503, "not_ready")]
    with pytest.raises(NotReady):
        registry.promote("m1", "champion", "v1", who="me", why="better")
    assert len(server.asked) == 1


def test_a_registry_that_is_not_there_is_not_ready_soon() -> None:
    registry = Registry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotReady, match=r"The registry at http://127\.0\.0\.1:\d+ does not answer: .*refused"):
        registry.check()


@pytest.mark.parametrize("url", ["", "registry", "ftp://host", "http://", "http://me:secret@host", "http://host?x=1"])
def test_what_can_be_no_url_of_a_registry_is_refused(url: str) -> None:
    with pytest.raises(StartupError, match=r"is not of the form http://host:port"):
        Registry(url)


@pytest.mark.parametrize("token", ["two\nlines", "schlüssel", "\0"])
def test_what_can_be_no_token_is_refused_without_being_told(token: str) -> None:
    with pytest.raises(StartupError, match=r"^The registry's token holds characters that no HTTP header can carry\.$"):
        Registry("http://127.0.0.1", SecretStr(token))


def fetched(registry: Registry, release: Release, folder: Path) -> bytes:
    path = registry.fetch(release, folder)
    assert [file.name for file in folder.iterdir()] == [path.name] == [f"{DIGEST}.onnx"]
    return path.read_bytes()


def ranges(server: Liar) -> list[str]:
    return [named.get("range", "") for path, named, _ in server.asked if "artefacts" in path]


def test_a_file_is_fetched_once_and_then_found(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file = FILE
    for _ in range(2):
        assert fetched(registry, release, tmp_path / "models") == FILE
    assert ranges(server) == [""]


def test_what_breaks_off_is_resumed(server: Liar, registry: Registry, release: Release, tmp_path: Path) -> None:
    server.file, server.cut_after = FILE, [1000, 2_000_000]
    assert fetched(registry, release, tmp_path) == FILE
    assert ranges(server)[:2] == ["", "bytes=1000-"]
    assert len(ranges(server)) == 3


def test_what_an_earlier_process_had_fetched_is_not_fetched_again(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file = FILE
    (tmp_path / f".{DIGEST}.part").write_bytes(FILE[:5000])
    assert fetched(registry, release, tmp_path) == FILE
    assert ranges(server) == ["bytes=5000-"]


@pytest.mark.parametrize("left", [b"wrong" * 1000, FILE + b"more", bytes(len(FILE))])
def test_a_beginning_that_is_wrong_is_thrown_away(
    server: Liar, registry: Registry, release: Release, tmp_path: Path, left: bytes
) -> None:
    server.file = FILE
    (tmp_path / f".{DIGEST}.part").write_bytes(left)
    assert fetched(registry, release, tmp_path) == FILE


def test_a_file_that_was_damaged_on_the_disk_is_fetched_again(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file = FILE
    (tmp_path / f"{DIGEST}.onnx").write_bytes(FILE[:-1] + b"x")
    assert fetched(registry, release, tmp_path) == FILE


def test_a_server_without_ranges_gives_all_again(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file, server.ranges, server.cut_after = FILE, False, [1000]
    assert fetched(registry, release, tmp_path) == FILE


def test_a_server_that_breaks_off_for_ever_is_given_up_and_what_came_is_kept(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file, server.cut_after = FILE, [1000, *[0] * 6]
    with pytest.raises(NotReady, match=r"does not give the rest of its 5120000 bytes after byte 1000"):
        registry.fetch(release, tmp_path)
    server.cut_after = []
    assert fetched(registry, release, tmp_path) == FILE


def test_another_file_than_the_one_named_is_never_given_its_name(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    for lie, reason in ((b"x" * len(FILE), "instead of"), (FILE + b"x", "more than the 5120000 bytes")):
        server.file = lie
        with pytest.raises(ModelError, match=reason):
            registry.fetch(release, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == [f".{DIGEST}.part"]
    server.file = FILE
    assert fetched(registry, release, tmp_path) == FILE


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(404, "not_found"), NotFound),
        ((500, {}, b""), BadGateway),
        ((206, {"content_range": "bytes 7-8/9"}, b"xx"), BadGateway),
        ((503, {"retry_after": "0"}, b""), NotReady),
    ],
)
def test_what_is_no_file_is_told(
    server: Liar, registry: Registry, release: Release, tmp_path: Path, answer: Answer, kind: type[ServiceError]
) -> None:
    server.answers[f"GET api/artefacts/{DIGEST}"] = [answer]
    (tmp_path / f".{DIGEST}.part").write_bytes(FILE[:5])
    with pytest.raises(kind):
        registry.fetch(release, tmp_path)


def test_a_registry_that_went_away_is_told_while_fetching(release: Release, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="refused"):
        artefact.fetch(urllib3.PoolManager(retries=False), f"http://127.0.0.1:{free_port()}/x", DIGEST, 9, tmp_path)


def test_the_same_file_fetched_by_many_at_once_is_whole(
    server: Liar, registry: Registry, release: Release, tmp_path: Path
) -> None:
    server.file = FILE
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: registry.fetch(release, tmp_path), range(16)))
    assert set(paths) == {tmp_path / f"{DIGEST}.onnx"}
    assert fetched(registry, release, tmp_path) == FILE


def test_all_pages_of_versions_are_read(server: Liar, registry: Registry) -> None:
    more = '</v1/api/models/m1/versions?limit=500&after=v1>; rel="next"'
    server.answers["GET api/models/m1/versions?limit=500"] = [told(200, [version()], link=more)]
    server.answers["GET api/models/m1/versions?limit=500&after=v1"] = [told(200, [version("1.0.1-iris.1")])]
    assert [release.version for release in registry.versions("m1")] == ["1.0.0-iris.1", "1.0.1-iris.1"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(FILE)
    return path


def test_a_file_is_sent_only_if_it_is_not_there(server: Liar, registry: Registry, file: Path) -> None:
    server.answers[f"PUT api/artefacts/{DIGEST}"] = [refused(503, "not_ready"), told(201, {})]
    assert registry.upload(file) == DIGEST
    sent = [body for path, _, body in server.asked if path.startswith("PUT")]
    assert sent == [FILE, FILE], "sent again from the beginning"
    server.answers[f"HEAD api/artefacts/{DIGEST}"] = [(200, {"content_length": "1"}, b"")]
    assert registry.upload(file) == DIGEST
    assert len([path for path in server.paths() if path.startswith("PUT")]) == 2


def test_projects_and_models_are_made_where_there_are_none(server: Liar, registry: Registry) -> None:
    server.answers["POST api/projects"] = [told(201, {"project_id": "p1"})]
    server.answers["POST api/models"] = [refused(409, "conflict")]  # another client was faster
    server.answers["GET api/models/name/iris"] = [refused(404, "not_found"), told(200, {"model_id": "m1"})]
    server.answers["GET api/models/id/m1"] = [told(200, {"model_id": "m1", "project_id": "p1"})]
    assert registry.model_id("flowers", "iris") == "m1"
    assert server.bodies() == [{"project_name": "flowers"}, {"model_name": "iris", "project_id": "p1"}]
    server.answers["GET api/models/id/m1"] = [told(200, {"model_id": "m1", "project_id": "p2"})]
    with pytest.raises(Conflict, match="has a model iris already, in another project than flowers"):
        registry.model_id("flowers", "iris")
    server.answers["GET api/projects/name/flowers"] = [told(200, {})]
    with pytest.raises(BadGateway, match="without its project_id"):
        registry.model_id("flowers", "iris")


def test_a_version_that_exists_is_this_one_if_it_has_this_file(server: Liar, registry: Registry) -> None:
    server.answers["POST api/models/m1/versions"] = [refused(409, "conflict")]
    server.answers["GET api/models/m1/versions/1.0.0-iris.1"] = [told(200, version())]
    assert registry.register("m1", "1.0.0-iris.1", DIGEST, code_revision="abc").sha256 == DIGEST
    with pytest.raises(Conflict):
        registry.register("m1", "1.0.0-iris.1", "0" * 64)
    assert server.bodies()[0] == {"name": "1.0.0-iris.1", "sha256": DIGEST, "code_revision": "abc"}


def test_promotions_carry_who_and_why(server: Liar, registry: Registry) -> None:
    line = {"id": "1", "alias": "champion", "number": 1, "kind": "promote", "from_version": None}
    answer = told(
        201, {**line, "to_version": "1.0.0-iris.1", "who": "me", "why": "better", "at": "2026-11-21T12:00:00Z"}
    )
    server.answers["POST api/models/m1/aliases/champion"] = [answer]
    server.answers["POST api/models/m1/aliases/champion/rollback"] = [answer]
    assert registry.promote("m1", "champion", "v1", who="me", why="better", override_reason="urgent").number == 1
    assert registry.rollback("m1", "champion", who="me", why="worse").to_version == "1.0.0-iris.1"
    assert server.bodies() == [
        {"version": "v1", "who": "me", "why": "better", "override_reason": "urgent"},
        {"who": "me", "why": "worse"},
    ]


def known(*versions: tuple[str, str]) -> list[Release]:
    return [
        Release(id="v", model_id="m", model="iris", version=name, sha256="", size_bytes=0, data_sha256=data)
        for name, data in versions
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "1.0.0-iris.1"),
        ([("1.0.9-iris.1", "d1"), ("1.0.10-iris.1", "d1")], "1.0.11-iris.1"),
        ([("1.0.0-iris.1", "d0")], "1.0.1-iris.2"),
        ([("1.0.0-iris.1", "d1"), ("2.1.0-iris.2", "d0")], "2.1.1-iris.1"),
        ([("1.0.0-other.7", "d1")], "1.0.1-iris.1"),
        ([("of another form", "d1")], "1.0.0-iris.1"),
    ],
)
def test_the_version_that_follows_is_the_next_patch_with_the_number_of_its_data(
    there: list[tuple[str, str]], expected: str
) -> None:
    assert registration.following(known(*there), "iris", "d1") == expected


@pytest.fixture
def trained(server: Liar, models: Path) -> Callable[[], tuple[Path, str]]:
    """A server that takes what a training registers, and the file."""

    def trained() -> tuple[Path, str]:
        path = models / "iris_svc" / "model.onnx"
        server.answers |= {
            "GET health": [told(200, {"health": "ok"})],
            "GET api/projects/name/iris_sklearn_svc": [told(200, {"project_id": "p1"})],
            "GET api/models/name/iris_svc": [told(200, {"model_id": "m1"})],
            "GET api/models/id/m1": [told(200, {"model_id": "m1", "project_id": "p1"})],
            "GET api/models/m1/versions?limit=500": [told(200, [version()])],
            f"PUT api/artefacts/{artefact.digest(path)}": [told(201, {})],
        }
        return path, artefact.digest(path)

    return trained


def test_a_changed_file_becomes_a_version_and_an_unchanged_one_does_not(
    server: Liar, trained: Callable[[], tuple[Path, str]]
) -> None:
    path, digest = trained()
    server.answers["POST api/models/m1/versions"] = [
        refused(409, "conflict"),  # another training took the name meanwhile
        told(201, version("1.0.2-iris.2", digest)),
    ]
    server.answers["GET api/models/m1/versions/1.0.1-iris.2"] = [told(200, version("1.0.1-iris.2"))]
    there = registration.registry(server.url)
    assert registration.told(there, path) == f"registered as iris 1.0.2-iris.2 in {server.url}"
    server.answers["GET api/models/m1/versions?limit=500"] = [told(200, [version("1.0.2-iris.2", digest)])]
    assert registration.told(there, path) == f"there already as iris 1.0.2-iris.2 in {server.url}"


def test_a_name_that_is_always_taken_is_a_conflict(server: Liar, trained: Callable[[], tuple[Path, str]]) -> None:
    path, _ = trained()
    server.answers["POST api/models/m1/versions"] = [refused(409, "conflict")]
    server.answers["GET api/models/m1/versions/1.0.1-iris.2"] = [told(200, version("1.0.1-iris.2"))]
    with pytest.raises(SystemExit, match=r"is written, and not registered: The registry at .* says: No, because\."):
        registration.told(registration.registry(server.url), path)
    assert server.paths().count("POST api/models/m1/versions") == 5


def test_a_file_without_a_document_is_not_registered(server: Liar, tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match="it has 0 `mlsys` metadata properties"):
        registration.register(Registry(server.url), tmp_path / "empty.onnx")


def test_the_token_comes_from_the_environment(server: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["GET health"] = [told(200, {"health": "ok"})]
    monkeypatch.setenv("REGISTRY_TOKEN", "from there")
    registration.registry(server.url)
    assert server.asked[0][1]["authorization"] == "Bearer from there"


def test_a_registry_that_cannot_be_used_is_told_before_the_training() -> None:
    with pytest.raises(SystemExit, match="does not answer"):
        registration.registry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SystemExit, match="is not of the form"):
        registration.registry("nowhere")


def test_the_revision_is_a_commit_and_none_where_there_is_no_git(tmp_path: Path) -> None:
    found = registration.revision()
    assert found is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)
    assert registration.revision(tmp_path) is None
    assert registration.revision(tmp_path / "nowhere") is None
