"""The file server between who releases and who serves: it counts the bytes that it sends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


class Shelf:
    """A folder under a URL. `sent`: bytes of bodies since the last `reset`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.sent = 0

    def reset(self) -> None:
        """Count from zero."""
        self.sent = 0


class _Handler(SimpleHTTPRequestHandler):
    """Files are for ever, as an index serves wheels, so that a client may cache them; lists are not."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *given: Any, shelf: Shelf, **named: Any) -> None:  # noqa: ANN401  # what the server gives
        self._shelf = shelf
        super().__init__(*given, **named)

    def end_headers(self) -> None:
        """Also say for how long the answer holds."""
        whole = "max-age=31536000, immutable" if self.path.endswith((".whl", ".onnx")) else "no-cache"
        self.send_header("Cache-Control", whole)
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401  # as it is declared
        """Send, and count."""
        while chunk := source.read(CHUNK):
            self._shelf.sent += len(chunk)  # before: who has read the last of them may look at the count at once
            outputfile.write(chunk)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # as it is declared
        """Nothing: the figures say it."""


@contextmanager
def serving(folder: Path) -> Iterator[Shelf]:
    """The folder, served on a free port until the end."""
    shelf = Shelf(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder), shelf=shelf))
    shelf.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
