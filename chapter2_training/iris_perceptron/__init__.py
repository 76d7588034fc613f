"""Tell Iris species from the petal alone, by a perceptron whose settings are chosen without the test flowers."""

MODELS = ("iris_perceptron",)
