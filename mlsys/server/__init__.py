"""A model server: several ONNX files behind the Open Inference Protocol (v2), by REST and by gRPC, in one process."""
