"""LitServe serving the model: `python litserve_iris.py PORT MODEL WORKERS default|zmq`."""
# mypy: disable-error-code="import-not-found,misc"
# (only the peer's own environment has the package)

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Iris(litserve.LitAPI):
    """The four verbs of LitServe: set up, decode, predict, encode."""

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe passes it
        """Open the model in an inference worker."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict[str, Any]) -> NDArray[np.float32]:
        """The flowers [n, 4] of a request."""
        return np.array(request["data"], dtype=np.float32)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities [n, 3]."""
        probabilities: NDArray[np.float32] = self._session.run(["probabilities"], {"input": x})[0]
        return probabilities

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, list[float]]:
        """The answer."""
        return {"prediction": output[0].tolist()}


if __name__ == "__main__":
    workers, fast_queue = int(sys.argv[3]), sys.argv[4] == "zmq"
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=workers, fast_queue=fast_queue)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning", access_log=False
    )
