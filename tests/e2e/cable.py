"""A network between a client and a server of this machine, which can be cut and mended."""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from typing import Literal, Self

from mlsys.ports import free_port

Way = Literal["silent", "reset"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: a close is a reset, and what was not yet sent is lost


class Cable:
    """Listens on `port` and passes on to the port `target`, byte by byte, in both directions.

    Cut silently, nothing arrives and nobody is told, as when a switch dies: who was connected waits, who connects gets
    no answer. What was sent arrives late, once it is mended: also commands whose sender has long given up and sent them
    again another way. Cut by reset, connections break and new ones are refused.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._passes = threading.Event()
        self._passes.set()
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)

    def __enter__(self) -> Self:
        self._accept()
        return self

    def __exit__(self, *_: object) -> None:
        self._break()
        self._passes.set()

    @contextlib.contextmanager
    def cut(self, way: Way) -> Iterator[None]:
        """Nothing comes through within this context."""
        if way == "reset":
            self._break()
        else:
            self._passes.clear()
        try:
            yield
        finally:
            self._passes.set()
            if way == "reset":
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
                self._accept()

    def _accept(self) -> None:
        threading.Thread(target=self._accept_all, args=(self._listener,), daemon=True).start()

    def _accept_all(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                caller, _ = listener.accept()
                self._passes.wait()
                with contextlib.suppress(OSError):  # the server is away: the caller is told by the end of this
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
                    self._join(caller, server, listener)
                    continue
                caller.close()

    def _join(self, caller: socket.socket, server: socket.socket, listener: socket.socket) -> None:
        server.settimeout(None)
        ends = itertools.count(1)
        with self._lock:
            if listener.fileno() < 0:  # cut meanwhile, and all others are broken already
                reset({caller, server})
                return
            self._open |= {caller, server}
        for each in (caller, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way in ((caller, server, ends), (server, caller, ends)):
            threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, ends: "itertools.count[int]") -> None:
        with contextlib.suppress(OSError):  # one side has gone, and the other is told
            while content := source.recv(65536):
                self._passes.wait()
                target.sendall(content)
        with self._lock, contextlib.suppress(OSError):
            if target in self._open:  # else it is being reset, and an orderly end must not be faster
                target.shutdown(socket.SHUT_WR)
        if next(ends) == 2:  # both directions have ended
            for each in (source, target):
                each.close()
            with self._lock:
                self._open -= {source, target}

    def _break(self) -> None:
        """Refuse new connections, and break those there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which close would not
        self._listener.close()
        with self._lock:
            ending, self._open = self._open, set()
        reset(ending)


def reset(ends: Iterable[socket.socket]) -> None:
    """Break connections: who is at the other end is told, and what is on its way is lost."""
    for each in ends:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.shutdown(socket.SHUT_RD)  # wakes the thread that reads; a close alone would leave it waiting
        each.close()
