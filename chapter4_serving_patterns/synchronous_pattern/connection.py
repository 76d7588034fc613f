"""A connection whose timeout is of all that is read after it was set, where a socket's is of each single read.

Else a server that sends a byte now and then holds its caller for as long as it likes, whatever the deadline.
"""

import socket
import time

from typing_extensions import Buffer
from urllib3.connection import HTTPConnection


class Connection(HTTPConnection):
    """For the pool of connections: it sets the seconds that are left before it reads an answer."""

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        timeout_s = plain.gettimeout()
        bounded = _Socket(fileno=plain.detach())
        bounded.settimeout(timeout_s)
        return bounded


class _Socket(socket.socket):
    _end: float | None = None

    def settimeout(self, value: float | None, /) -> None:
        self._end = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        if self._end is not None:
            if (left_s := self._end - time.monotonic()) <= 0:
                raise TimeoutError("timed out")
            super().settimeout(left_s)
        return super().recv_into(buffer, nbytes, flags)
