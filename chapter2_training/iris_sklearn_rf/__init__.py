"""Tell Iris species by a random forest, with the votes of its trees as probabilities."""

MODELS = ("iris_rf",)
