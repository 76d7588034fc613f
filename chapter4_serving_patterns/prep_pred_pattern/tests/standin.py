"""A model server that keeps what it was sent, and can be told to lie, fail and hang."""

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

from ..prep import INPUT, OUTPUTS


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # no types
    """Declares what prep is made for, and answers that every picture is a cat."""

    def __init__(self) -> None:
        self.inputs = [INPUT]
        self.labels = list(LABELS)
        self.version = "first"
        self.probabilities = np.eye(len(LABELS), dtype=np.float32)[3:4]
        self.label = np.array([3])
        self.fail: grpc.StatusCode | None = None
        self.received: list[NDArray[np.uint8]] = []
        self.remaining_s: list[float] = []
        self.request_ids: list[str] = []
        self.on_infer: Callable[[], object] = lambda: None
        self.go = threading.Event()
        self.go.set()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """End at once."""
        self.go.set()
        self._server.stop(None).wait()

    def ModelMetadata(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        answer = v2.ModelMetadataResponse(name=request.name, versions=[self.version])
        for there, tensors in ((answer.inputs, self.inputs), (answer.outputs, OUTPUTS)):
            for tensor in tensors:
                there.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        return answer

    def ModelConfig(self, request: Any, _: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        config = model_config_pb2.ModelConfig(name=request.name)
        config.parameters["labels"].string_value = json.dumps(self.labels)
        return v2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802, ANN401  # the protocol's name
        self.on_infer()
        self.remaining_s.append(context.time_remaining())
        self.request_ids.append(dict(context.invocation_metadata())["x-request-id"])
        self.go.wait()
        if self.fail:
            context.abort(self.fail, "As it was told.")
        if request.model_version != self.version:
            context.abort(grpc.StatusCode.NOT_FOUND, f"There is no version {request.model_version}.")
        self.received.append(np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape))
        answer = v2.ModelInferResponse(model_name=request.model_name, model_version=self.version)
        for tensor, array in zip(OUTPUTS, (self.label, self.probabilities), strict=True):
            answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        return answer
