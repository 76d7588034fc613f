"""The Open Inference Protocol as REST: JSON that describes the tensors, and their bytes behind it.

Source: Open Inference Protocol, inference_rest.md; Triton's binary data, schedule policy (`timeout`) and model
configuration extensions.
"""

import json
from http.client import BadStatusLine
from typing import Any, NoReturn
from urllib.parse import quote

import numpy as np
import urllib3
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOut

from mlsys.errors import DeadlineExceeded

from .call import Unavailable
from .connection import Connection
from .transport import Refused, Tensors, WrongAnswer, class_names

HEADER_LENGTH = "Inference-Header-Content-Length"
OUTPUTS = {"label": "<i8", "probabilities": "<f4"}
"""What is asked for, and the type its bytes have: little-endian, whatever this machine is."""


class Rest:
    """A pool of connections to one server.

    The deadline bounds the connection and all reads together (connection.py): a server that drips is cut off too.
    Not bounded is how long the system takes to find the address of a name.
    """

    def __init__(self, host: str, port: int, connections: int = 10) -> None:
        self._target = f"{host}:{port}"
        # retries=False below: the pool's own retries know neither the deadline nor the budget.
        self._pool = urllib3.HTTPConnectionPool(host, port, maxsize=connections)
        self._pool.ConnectionCls = Connection

    def metadata(self, model: str, left_s: float | None) -> dict[str, Any]:
        """See Transport."""
        return self._json(self._ask("GET", f"/v2/models/{quote(model, safe='')}", left_s)[1])

    def labels(self, model: str, left_s: float | None) -> list[str]:
        """See Transport."""
        config = self._json(self._ask("GET", f"/v2/models/{quote(model, safe='')}/config", left_s)[1])
        try:
            return class_names(config["parameters"]["labels"]["string_value"])
        except (KeyError, TypeError, ValueError):
            raise WrongAnswer(f"{self._target} does not name the classes of {model}.") from None

    def infer(self, model: str, pixels: NDArray[np.uint8], left_s: float | None) -> Tensors:
        """See Transport."""
        shape = {"name": "input", "datatype": "UINT8", "shape": pixels.shape}
        question: dict[str, Any] = {
            "inputs": [shape | {"parameters": {"binary_data_size": pixels.nbytes}}],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS],
        }
        if left_s is not None:
            question["parameters"] = {"timeout": max(1, int(left_s * 1e6))}  # in µs, so that the server gives up too
        head = json.dumps(question).encode()
        headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        path = f"/v2/models/{quote(model, safe='')}/infer"
        length, body = self._ask("POST", path, left_s, head + pixels.tobytes(), headers)
        return self._tensors(length, body)

    def _ask(
        self, method: str, path: str, left_s: float | None, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[str | None, bytes]:
        """Length of the JSON part, and the body, of an answer of status 200."""
        timeout = urllib3.Timeout(total=left_s)
        try:
            response = self._pool.urlopen(
                method, path, body, headers, retries=False, redirect=False, timeout=timeout, preload_content=False
            )
            try:
                content = response.read()
            except BaseException:
                response.close()  # what is left of the answer must not meet the next question
                raise
        except HTTPError as error:  # refused, reset, closed, name not found, no HTTP, or late
            if isinstance(error, TimedOut) and not isinstance(error, NewConnectionError):  # which is no timeout
                problem = f"{self._target} did not answer within the {left_s:.3g} s that were left."
                raise DeadlineExceeded(problem) from None
            cause = error.args[-1] if error.args else error
            if type(cause) is BadStatusLine:  # not RemoteDisconnected, which is a kind of it
                raise WrongAnswer(f"{self._target} does not speak HTTP: is it the port of gRPC?") from None
            raise Unavailable(f"{self._target} cannot be reached: {_reason(cause)}.") from None
        if response.status != 200:
            self._refuse(response, content)
        return response.headers.get(HEADER_LENGTH), content

    def _refuse(self, response: urllib3.BaseHTTPResponse, content: bytes) -> NoReturn:
        said = f"{self._target} answered {response.status}: {_text(content)}"
        if response.status == 503:
            seconds = response.headers.get("Retry-After", "")
            raise Unavailable(said, retry_after_s=min(3600.0, float(seconds)) if seconds.isdecimal() else 0.0)
        if response.status == 504:
            raise DeadlineExceeded(said)
        raise (Refused if 400 <= response.status < 500 else WrongAnswer)(said)

    def _json(self, content: bytes) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(content)
        except (ValueError, RecursionError):
            raise WrongAnswer(f"{self._target} answered what is not JSON.") from None
        return document

    def _tensors(self, length: str | None, body: bytes) -> Tensors:
        found: Tensors = {}
        try:
            at = int(length or len(body))
            for output in self._json(body[:at])["outputs"]:
                size = output["parameters"]["binary_data_size"]
                kind = OUTPUTS[output["name"]]
                found[output["name"]] = np.frombuffer(body[at : at + size], kind).reshape(output["shape"])
                at += size
            if at != len(body):
                raise ValueError(f"{len(body)} bytes instead of {at}")
        except (KeyError, TypeError, ValueError) as error:
            raise WrongAnswer(f"{self._target} answered tensors that cannot be read: {error!r}.") from None
        return found


def _reason(cause: object) -> str:
    return str(cause).rpartition(": ")[2].rstrip(".") or type(cause).__name__


def _text(content: bytes) -> str:
    """What an error says: the protocol's own form, or whatever a proxy in between writes."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content[:200].decode(errors="replace")
