"""The Open Inference Protocol as gRPC, by Triton's own client: the tensors travel as raw bytes.

Source: Open Inference Protocol, grpc_predict_v2.proto; Triton's model configuration extension.
"""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput, InferRequestedOutput

from mlsys.errors import DeadlineExceeded

from .call import Unavailable
from .transport import Refused, Tensors, WrongAnswer, class_names

CHANNEL = [
    # One connection carries the calls of all threads; to several addresses of one name, calls go in turn.
    ("grpc.lb_policy_name", "round_robin"),
    # After a failed connection gRPC fails every call at once until it tries again, by default after 1 s and up to 120 s
    # later. It must try as often as the lesson does, or a retry would never reach a server that is back. (Do not touch
    # min_reconnect_backoff_ms: that is how long one attempt to connect may take.)
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Its own retries know no budget.
    ("grpc.enable_retries", 0),
]
OUTPUTS = ("label", "probabilities")
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE"}
FOR_NOW = {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}
"""The second is also said of a message that is too large, which pixels never are; else gRPC itself is over capacity."""


class Grpc:
    """A connection to one server, or to each address of its name. The deadline is gRPC's own and reaches the server."""

    def __init__(self, host: str, port: int) -> None:
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._client = InferenceServerClient(self._target, channel_args=CHANNEL)

    def metadata(self, model: str, left_s: float | None) -> dict[str, Any]:
        """See Transport."""
        try:
            answer = self._client.get_model_metadata(model, client_timeout=left_s)
        except InferenceServerException as error:
            self._refuse(error)
        described: dict[str, Any] = {
            "name": answer.name,
            "versions": list(answer.versions),
            "platform": answer.platform,
        }
        for key in ("inputs", "outputs"):
            described[key] = [
                {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
                for tensor in getattr(answer, key)
            ]
        return described

    def labels(self, model: str, left_s: float | None) -> list[str]:
        """See Transport."""
        try:
            answer = self._client.get_model_config(model, client_timeout=left_s)
        except InferenceServerException as error:
            self._refuse(error)
        try:
            return class_names(answer.config.parameters["labels"].string_value)
        except ValueError:
            raise WrongAnswer(f"{self._target} does not name the classes of {model}.") from None

    def infer(self, model: str, pixels: NDArray[np.uint8], left_s: float | None) -> Tensors:
        """See Transport."""
        tensor = InferInput("input", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        wanted = [InferRequestedOutput(name) for name in OUTPUTS]
        try:
            answer = self._client.infer(model, [tensor], outputs=wanted, client_timeout=left_s)
            return {name: answer.as_numpy(name) for name in OUTPUTS}
        except InferenceServerException as error:
            self._refuse(error)
        except (IndexError, TypeError, ValueError) as error:
            raise WrongAnswer(f"{self._target} answered tensors that cannot be read: {error!r}.") from None

    def _refuse(self, error: InferenceServerException) -> NoReturn:
        status = (error.status() or "").removeprefix("StatusCode.")
        if status == "DEADLINE_EXCEEDED":
            raise DeadlineExceeded(f"{self._target} did not answer in time.") from None
        if "http1.x server" in (error.message() or ""):  # gRPC's own guess, in the text of UNAVAILABLE
            raise WrongAnswer(f"{self._target} does not speak gRPC: is it the port of REST?") from None
        if status in FOR_NOW:
            raise Unavailable(f"{self._target} cannot be reached or is busy: {error.message()}.") from None
        kind = Refused if status in REFUSALS else WrongAnswer
        raise kind(f"{self._target} answered {status or 'nonsense'}: {error.message()}") from None
