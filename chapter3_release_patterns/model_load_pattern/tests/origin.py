"""An HTTP server that has models, as a registry and as plain files, and fails when it is told to."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHAMPION = "/v1/api/models/name/iris_svc/aliases/champion"


class Origin(ThreadingHTTPServer):
    """`files` are bodies by path. `failures` requests are answered 503; a body breaks off after `cut` bytes.

    sent: pieces of models that went out. With `hold_after` further ones wait until `released` is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.alias = f"registry+{self.url}/iris_svc@champion"
        self.files: dict[str, bytes] = {}
        self.failures = 0
        self.cut: int | None = None
        self.down = False
        self.ranges: list[str] = []
        self.sent = 0
        self.hold_after: int | None = None
        self.released = threading.Event()

    def promote(self, name: str, content: bytes, *, sha256: str | None = None) -> str:
        """Let the alias name this model; its digest, true or not."""
        digest = sha256 or hashlib.sha256(content).hexdigest()
        self.files[f"/v1/api/artefacts/{digest}"] = content
        self.files[CHAMPION] = json.dumps({"name": name, "sha256": digest, "size_bytes": len(content)}).encode()
        return digest

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator["Origin"]:
        """One that serves until the end."""
        with cls() as origin:
            thread = threading.Thread(target=origin.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield origin
            finally:
                origin.released.set()
                origin.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        origin, body = self.server, self.server.files.get(self.path)
        if origin.down:
            self.close_connection = True
            return
        if origin.failures > 0:
            origin.failures -= 1
            self._answer(503, b"busy")
        elif body is None:
            self._answer(404, b"nothing here")
        elif (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) and self.path != CHAMPION:
            origin.ranges.append(self.headers["Range"])
            begins = int(wanted[1])
            if begins >= len(body):
                self._answer(416, b"")
            else:
                self._answer(206, body[begins:], f"bytes {begins}-{len(body) - 1}/{len(body)}")
        else:
            self._answer(200, body)

    do_HEAD = do_GET  # noqa: N815  # so the library calls it

    def _answer(self, status: int, body: bytes, content_range: str = "") -> None:
        origin = self.server
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:8]}"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, is_model = origin.cut, status in (200, 206) and self.path != CHAMPION
        if is_model and cut is not None and cut < len(body):
            self.wfile.write(body[:cut])
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):  # the loader was killed
            for begin in range(0, len(body), 2**14):
                if is_model and origin.hold_after is not None and origin.sent >= origin.hold_after:
                    origin.released.wait(20)
                self.wfile.write(body[begin : begin + 2**14])
                origin.sent += is_model

    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what matters."""
