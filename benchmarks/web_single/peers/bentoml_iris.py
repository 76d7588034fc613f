"""BentoML serving the model: `bentoml serve bentoml_iris:Iris`."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# (only the peer's own environment has the package)

import os
from typing import Annotated

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType, Shape
from numpy.typing import NDArray

Flowers = Annotated[NDArray[np.float32], DType("float32"), Shape((1, 4))]


@bentoml.service(workers=int(os.environ["WORKERS"]), logging={"access": {"enabled": False}})
class Iris:
    """A service with one API; BentoML decodes the body to the array that the parameter's type declares."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.environ["MODEL_PATH"]
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @bentoml.api(route="/predict")
    async def predict(self, data: Flowers) -> dict[str, list[float]]:
        """Probabilities [3] of the flower."""
        return {"prediction": self._session.run(["probabilities"], {"input": data})[0][0].tolist()}
