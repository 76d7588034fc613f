"""A model server of which a picture's label is its red, and which can be told to refuse, to hang and to go away."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2_grpc
from tritonclient.grpc import service_pb2 as v2

from mlsys.cifar10 import LABELS

Refusal = Callable[[NDArray[np.uint8]], grpc.StatusCode | None]


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # no types
    """`batches` are the sizes of what it got; `asked` is how often it was asked what it serves.

    It predicts when `go` is set; with `hangs` it does not even say before what it serves.
    """

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.asked = 0
        self.refuse: Refusal = lambda _: None
        self.channels = 3
        self.rows = 1
        self.go = threading.Event()
        self.go.set()
        self.hangs = False
        self._port = 0
        self.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self) -> None:
        ended = self._server.stop(None)
        self.go.set()  # after the calls in progress were ended
        ended.wait()

    def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        self.asked += 1
        if self.hangs:
            self.go.wait()
        answer = v2.ModelMetadataResponse(name=request.name, versions=["1"])
        answer.inputs.add(name="input", datatype="UINT8", shape=[-1, 32, 32, self.channels])
        answer.outputs.add(name="label", datatype="INT64", shape=[-1])
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[-1, len(LABELS)])
        return answer

    def ModelConfig(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        config = model_config_pb2.ModelConfig(name=request.name)
        config.parameters["labels"].string_value = json.dumps(LABELS)
        return v2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
        self.batches.append(len(pixels))
        self.go.wait()
        if code := self.refuse(pixels):
            context.abort(code, "As it was told.")
        labels = np.tile(pixels[:, 0, 0, 0].astype(np.int64), self.rows)
        answer = v2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for name, datatype, array in (
            ("label", "INT64", labels),
            ("probabilities", "FP32", np.eye(len(LABELS), dtype=np.float32)[labels]),
        ):
            answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        return answer
