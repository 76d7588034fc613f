"""MLServer serving an ONNX file by a runtime of its own: `mlserver start` in this folder."""
# mypy: disable-error-code="import-not-found,misc"
# (only the peer's own environment has the package)

import asyncio
import os
from functools import partial

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class Onnx(MLModel):
    """The two methods of a custom inference runtime.

    It computes in the event loop, as those that come with MLServer do, or, with ONNX_IN_THREADS=1, in threads.
    """

    async def load(self) -> bool:
        """Open the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = await get_model_uri(self.settings)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The outputs that are asked for."""
        names = [output.name for output in payload.outputs]
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        run = partial(self._session.run, names, feeds)
        arrays = await asyncio.to_thread(run) if os.environ.get("ONNX_IN_THREADS") == "1" else run()
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(names, arrays, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
