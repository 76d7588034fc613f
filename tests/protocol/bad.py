"""Requests that are wrong, as tables: what they are called, and their JSON or bytes."""

import json

TENSOR = {"name": "input", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
DELETED = object()
_HUGE = "[" * 100_000


def with_tensor(**changes: object) -> bytes:
    """A request to `fixed` (FP32 [2, 3]) whose one tensor is changed; fields of the value DELETED are left out."""
    tensor = {name: value for name, value in (TENSOR | changes).items() if value is not DELETED}
    return json.dumps({"inputs": [tensor]}).encode()


def with_request(**changes: object) -> bytes:
    """A request to `fixed` that is right but for these changes at its top level."""
    request = {name: value for name, value in ({"inputs": [TENSOR]} | changes).items() if value is not DELETED}
    return json.dumps(request).encode()


def with_values(text: str) -> bytes:
    """A request to `fixed` whose data is this text, which json.dumps would not write."""
    return b'{"inputs":[{"name":"input","datatype":"FP32","shape":[2,3],"data":' + text.encode() + b"}]}"


BODIES = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "not JSON": b"{inputs}",
    "truncated": with_request()[:-1],
    "two documents": with_request() * 2,
    "not UTF-8": with_request().replace(b"input", b"\xff\xfe"),
    "a lone surrogate": with_tensor(name="\ud800"),
    "nested too deep": _HUGE.encode(),
    "parameters nested too deep": b'{"parameters":{"x":' + _HUGE.encode(),
    "data nested too deep": with_values("[" * 100_000 + "]" * 100_000),
    "data nested too deep and open": with_values(_HUGE),
}
REQUESTS = {
    "no inputs": with_request(inputs=DELETED),
    "inputs null": with_request(inputs=None),
    "inputs an object": with_request(inputs={}),
    "inputs empty": with_request(inputs=[]),
    "an input null": with_request(inputs=[None]),
    "an input twice": with_request(inputs=[TENSOR, TENSOR]),
    "an input too many": with_request(inputs=[TENSOR, TENSOR | {"name": "other"}]),
    "outputs null and not there": with_request(outputs=[None]),
    "outputs an object": with_request(outputs={}),
    "an output without a name": with_request(outputs=[{}]),
    "an output's name a number": with_request(outputs=[{"name": 7}]),
    "an unknown output": with_request(outputs=[{"name": "nobody"}]),
    "an output twice": with_request(outputs=[{"name": "output"}, {"name": "output"}]),
    "binary_data a text": with_request(outputs=[{"name": "output", "parameters": {"binary_data": "yes"}}]),
    "binary_data_output a number": with_request(parameters={"binary_data_output": 7}),
    "parameters a list": with_request(parameters=[1]),
    "id a number": with_request(id=7),
    "timeout a text": with_request(parameters={"timeout": "soon"}),
    "timeout negative": with_request(parameters={"timeout": -1}),
    "timeout beyond every number": with_request(parameters={"timeout": 10**400}),
}
TENSORS = {
    "no name": with_tensor(name=DELETED),
    "name null": with_tensor(name=None),
    "name a number": with_tensor(name=1),
    "another name": with_tensor(name="Input"),
    "name a path": with_tensor(name="../input"),
    "no datatype": with_tensor(datatype=DELETED),
    "another datatype": with_tensor(datatype="FP64"),
    "datatype in lower case": with_tensor(datatype="fp32"),
    "datatype of no kind": with_tensor(datatype="FP128"),
    "datatype a number": with_tensor(datatype=32),
    "text as datatype": with_tensor(datatype="BYTES", data=["x"] * 6),
    "no shape": with_tensor(shape=DELETED),
    "shape null": with_tensor(shape=None),
    "shape a text": with_tensor(shape="2,3"),
    "shape empty": with_tensor(shape=[]),
    "shape of texts": with_tensor(shape=["2", "3"]),
    "shape of booleans": with_tensor(shape=[True, 6]),
    "shape with a fraction": with_tensor(shape=[2.5, 3]),
    "shape with null": with_tensor(shape=[None, 3]),
    "shape turned": with_tensor(shape=[3, 2]),
    "shape of another rank": with_tensor(shape=[6]),
    "shape negative": with_tensor(shape=[-2, -3]),
    "shape free": with_tensor(shape=[-1, 3]),
    "shape with a zero": with_tensor(shape=[0, 3], data=[]),
    "shape over 64 bits": with_tensor(shape=[2**64, 3]),
    "shape of a googol": with_tensor(shape=[10**100, 3]),
    "shape whose product overflows to zero": with_tensor(shape=[2**32, 2**32]),
    "shape whose product overflows to six": with_tensor(shape=[2**63 + 1, 6]),
    "shape of a terabyte": with_tensor(shape=[2**19, 2**19]),
    "shape of 100,000 ones": with_tensor(shape=[1] * 100_000),
    "parameters a text": with_tensor(parameters="x"),
    "data and a binary size": with_tensor(parameters={"binary_data_size": 24}),
    "shared memory": with_tensor(data=DELETED, parameters={"shared_memory_region": "x", "shared_memory_byte_size": 24}),
}
VALUES = {
    "no data": with_tensor(data=DELETED),
    "null": with_values("null"),
    "an object": with_values("{}"),
    "a text": with_values('"123456"'),
    "a number": with_values("1"),
    "nothing": with_values("[]"),
    "too few": with_values("[1,2,3,4,5]"),
    "too many": with_values("[1,2,3,4,5,6,7]"),
    "ragged rows": with_values("[[1,2,3,4],[5,6]]"),
    "ragged depths": with_values("[[1,2,3],4,5,6]"),
    "rows in the wrong order": with_values("[[1,2],[3,4],[5,6]]"),
    "NaN": with_values("[1,2,3,4,5,NaN]"),
    "infinity": with_values("[1,2,3,4,5,-Infinity]"),
    "1e39": with_values("[1,2,3,4,5,1e39]"),
    "1e400": with_values("[1,2,3,4,5,1e400]"),
    "an integer of 400 digits": with_values("[1,2,3,4,5,1" + "0" * 400 + "]"),
    "a null": with_values("[1,2,3,4,5,null]"),
    "a boolean": with_values("[1,2,3,4,5,true]"),
    "a text in numbers": with_values('[1,2,3,4,5,"6"]'),
    "an object in numbers": with_values("[1,2,3,4,5,{}]"),
    "a nested empty row": with_values("[[1,2,3],[]]"),
}
JSON = {
    f"{group}: {name}": body
    for group, bodies in (("body", BODIES), ("request", REQUESTS), ("tensor", TENSORS), ("data", VALUES))
    for name, body in bodies.items()
}
NUMBERS = [
    ("uint8", "[256,0]"),
    ("uint8", "[-1,0]"),
    ("uint8", "[1.5,0]"),
    ("uint8", '["1",0]'),
    ("uint8", "[true,0]"),
    ("int8", "[-129,0]"),
    ("int64", "[9223372036854775808,0]"),
    ("int64", "[1e30,0]"),
    ("uint64", "[-1,0]"),
    ("uint64", "[18446744073709551616,0]"),
    ("bool", "[2,0]"),
    ("bool", '["true",false]'),
    ("bool", "[0.5,0]"),
    ("fp32", "[3.5e38,0]"),
    ("fp64", "[1e309,0]"),
    ("text", "[1,2]"),
    ("text", "[null,null]"),
    ("text", '[["a"],["b"]]'),
]
"""Values that the network's datatype does not hold."""
LENGTHS = {
    "negative": ["-1"],
    "zero": ["0"],
    "empty": [""],
    "a word": ["abc"],
    "a fraction": ["1.5"],
    "in hexadecimal": ["0x10"],
    "with an underscore": ["1_0"],
    "Arabic digits": ["١٢"],
    "beyond the body": ["100000"],
    "of 5,000 digits": ["9" * 5000],
    "inside the JSON": ["10"],
    "a list": ["{right}, {right}"],
    "twice, differently": ["{right}", "7"],
}
"""Values of Inference-Header-Content-Length."""
PATHS = [
    "/v2/models/%2e%2e/infer",
    "/v2/models/..%2f..%2fetc%2fpasswd/infer",
    "/v2/models/../../etc/passwd",
    "/v2/models/adder%2fmodel.onnx/infer",
    "/v2/models/adder%00/infer",
    "/v2/models/%ff%fe/infer",
    "/v2/models//infer",
    "/v2/models/adder/versions//infer",
    "/v2/models/adder/versions/%2e%2e/infer",
    "/v2/models/adder/versions/1/2/infer",
    "/v2/models/" + "a" * 5000 + "/infer",
    "/v2/models/adder/infer/",
    "/v2/models/ADDER/infer",
    "/v2/repository/models/..%2f..%2fetc/load",
    "/v2/repository/models/%2e/load",
    "/v2/repository/models//load",
    "/v2/repository/models/%00/unload",
    "/v2/nothing",
]
"""Where nothing is to POST to."""
