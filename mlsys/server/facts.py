"""What a server and its models say of themselves, for REST as it is, for gRPC as the fields of its messages."""

from typing import Any

import msgspec

from ..metadata import Tensor
from .repository import Models, Repository, Served

NAME = "mlsys.server"
VERSION = "1.0"
PLATFORM = "onnxruntime_onnx"  # Triton's name for it
HEALTH = {"live": True, "ready": True}
"""Of a server that answers. (Of the readiness the specification writes `live`, and KServe answers `ready`.)"""


def server(models: Models) -> dict[str, Any]:
    """Name, version and the extensions that are offered."""
    extensions = ["binary_tensor_data", "model_configuration", "schedule_policy"]
    if isinstance(models, Repository):
        extensions += ["model_repository", "statistics"]
    return {"name": NAME, "version": VERSION, "extensions": extensions}


def metadata(served: Served) -> dict[str, Any]:
    """Name, version and tensors of a model."""
    return {
        "name": served.name,
        "versions": [served.network.version],
        "platform": PLATFORM,
        "inputs": [msgspec.to_builtins(tensor) for tensor in served.network.inputs],
        "outputs": [msgspec.to_builtins(tensor) for tensor in served.network.outputs],
    }


def configuration(served: Served) -> dict[str, Any]:
    """The part of Triton's model configuration that applies. `dims` are whole shapes, which `max_batch_size` 0 says.

    The labels, where the model file knows them, are the parameter `labels`: a JSON list.
    """
    network = served.network
    document = network.metadata
    labels = {"labels": {"string_value": msgspec.json.encode(document.labels).decode()}} if document else {}
    return {
        "name": served.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": 0,
        "input": [_dims(tensor) for tensor in network.inputs],
        "output": [_dims(tensor) for tensor in network.outputs],
        "parameters": labels,
    }


def statistics(served: Served) -> dict[str, Any]:
    """Triton's statistics, of the model in all versions since the server's start; times are nanoseconds."""
    found: dict[str, Any] = {"name": served.name, "version": served.network.version}
    counted = served.counted
    if counted is None:
        return found
    seconds = {
        "success": counted.queue_s + counted.compute_s,
        "queue": counted.queue_s,
        "compute_infer": counted.compute_s,
    }
    return found | {
        "inference_count": counted.rows,
        "execution_count": counted.executions,
        "inference_stats": {key: {"count": counted.requests, "ns": int(sum_ * 1e9)} for key, sum_ in seconds.items()},
    }


def _dims(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": tensor.shape}
