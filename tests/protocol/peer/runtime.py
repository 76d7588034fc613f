"""MLServer serving any ONNX file, by a runtime of its own: tensors in, tensors out."""
# mypy: disable-error-code="import-not-found,misc,no-untyped-call"
# (only the peer's own environment has the package)

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, ResponseOutput
from mlserver.utils import get_model_uri

DATATYPES = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}


class Onnx(MLModel):
    """Two methods: load, predict."""

    async def load(self) -> bool:
        """Open the model, and declare what it takes and gives."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = await get_model_uri(self.settings)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [_declared(value) for value in self._session.get_inputs()]
        self.outputs = [_declared(value) for value in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The outputs asked for, or all."""
        asked = [output.name for output in payload.outputs or self.outputs]
        try:
            feeds = {tensor.name: _decode(tensor) for tensor in payload.inputs}
            arrays = self._session.run(asked, feeds)
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise InferenceError(str(error)) from error
        outputs = [_encode(name, array) for name, array in zip(asked, arrays, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


def _declared(value: onnxruntime.NodeArg) -> MetadataTensor:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return MetadataTensor(name=value.name, datatype=DATATYPES.get(kind, kind.upper()), shape=shape)


def _decode(tensor):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if tensor.datatype != "BYTES":
        return NumpyCodec.decode_input(tensor)
    words = [word.decode() if isinstance(word, bytes) else word for word in tensor.data]
    return np.array(words, dtype=object).reshape(tensor.shape)


def _encode(name: str, array) -> ResponseOutput:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if array.dtype != object:
        output = NumpyCodec.encode_output(name, array)
        output.shape = list(array.shape)  # the codec makes [n] into [n, 1]
        return output
    words = StringCodec.encode_output(name, array.flatten().tolist())
    words.shape = list(array.shape)
    return words
