"""Counts what goes over the wire: passes on every connection to a server, byte by byte, in both directions."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Relay:
    """Listens on `port` and passes on to `target` of this machine. `sent` and `received` are the callers' bytes."""

    def __init__(self, target: int) -> None:
        self.sent = self.received = 0
        self._target = target
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which close would not
        self._listener.close()
        with self._lock:
            for each in self._open:
                with suppress(OSError):  # it has ended by itself
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
                server.settimeout(None)
                with self._lock:
                    self._open += [caller, server]
                for each in (caller, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for way in ((caller, server, "sent"), (server, caller, "received")):
                    threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        with suppress(OSError):  # one side has gone
            while content := source.recv(65536):
                with self._lock:
                    setattr(self, counter, getattr(self, counter) + len(content))
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)
