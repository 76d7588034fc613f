"""Tell Iris species by support-vector machines, with calibrated probabilities."""

MODELS = ("iris_svc",)
