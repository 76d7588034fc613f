"""Tell whether a flower is like those that the models were trained on, by a one-class support-vector machine."""

MODELS = ("iris_outlier",)
