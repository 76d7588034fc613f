"""Tell one Iris species from the rest: three small models, each answering one question."""

MODELS = ("iris_binary_setosa", "iris_binary_versicolor", "iris_binary_virginica")
