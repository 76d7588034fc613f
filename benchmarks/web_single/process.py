"""A server of this comparison as processes, and what it answers."""

import http.client
import json
from contextlib import suppress
from pathlib import Path

from .. import process
from .servers import Server


class Running(process.Running):
    """A started server that can be asked. `values` fill in the server's braces."""

    def __init__(self, server: Server, values: dict[str, str], scratch: Path) -> None:
        super().__init__(server.name, server.command, server.environment, values, scratch)
        self.server = server

    def ask(self) -> list[float]:
        """The probabilities [3] that the server answers.

        Raises: OSError, HTTPException, or ValueError with the answer if it is no success.
        """
        protocol = self.server.protocol
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", protocol.path, protocol.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ValueError(f"status {answer.status}: {content.decode(errors='replace')[:200]}")
        return protocol.probabilities(json.loads(content))

    def wait_until_started(self) -> list[float]:
        """Wait until it answers and all its workers have come to rest; return the probabilities that it answers.

        Raises: RuntimeError with the end of its log.
        """
        answer = self.until(self._answer)
        self.until(self.at_rest)
        return answer

    def _answer(self) -> list[float] | None:
        with suppress(OSError, ValueError, http.client.HTTPException):  # not listening yet, or no model yet
            return self.ask()
        return None
