"""The Iris data of the training projects: loaded, split once by a seed, fingerprinted and profiled."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from .iris import FEATURES
from .metadata import FeatureProfile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Flowers:
    """Flowers: values [n, features] in centimetres, and species [n] as indices into `mlsys.iris.LABELS`."""

    values: Floats
    species: Ints

    def __len__(self) -> int:
        return len(self.species)

    def sha256(self) -> str:
        """Hex digest of the values as little-endian float32 (what a service sees), then the species as int64."""
        content = self.values.astype("<f4").tobytes() + self.species.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()


def load(features: tuple[str, ...] = FEATURES) -> Flowers:
    """The 150 flowers that scikit-learn carries, with the named columns only.

    Values are rounded to float32, as a service receives them, and kept in float64, in which scikit-learn computes.
    """
    values, species = load_iris(return_X_y=True)
    columns = [FEATURES.index(name) for name in features]
    return Flowers(values[:, columns].astype(np.float32).astype(np.float64), species.astype(np.int64))


def split(flowers: Flowers, *, test_size: float, seed: int, stratified: bool) -> tuple[Flowers, Flowers]:
    """The training part and the test part, shuffled by `seed`; stratified: with the same shares of species."""
    train, test = train_test_split(
        np.arange(len(flowers)),
        test_size=test_size,
        random_state=seed,
        stratify=flowers.species if stratified else None,
    )
    return _rows(flowers, train), _rows(flowers, test)


def surroundings(flowers: Flowers, n: int, seed: int) -> Floats:
    """`n` points [n, features] drawn evenly over the range of each feature, widened by half, at float32 precision."""
    low, high = flowers.values.min(axis=0), flowers.values.max(axis=0)
    margin = (high - low) / 4
    points = np.random.default_rng(seed).uniform(low - margin, high + margin, (n, len(low)))
    return points.astype(np.float32).astype(np.float64)


def profile(flowers: Flowers, features: tuple[str, ...]) -> list[FeatureProfile]:
    """How each feature is distributed: mean, standard deviation (of the population), 21 quantiles; in centimetres."""
    return [
        FeatureProfile(
            name=name,
            mean=round(float(column.mean()), 6),
            std=round(float(column.std()), 6),
            quantiles=[round(float(value), 6) for value in np.quantile(column, np.linspace(0, 1, 21))],
        )
        for name, column in zip(features, flowers.values.T, strict=True)
    ]


def _rows(flowers: Flowers, rows: Ints) -> Flowers:
    return Flowers(flowers.values[rows], flowers.species[rows])
