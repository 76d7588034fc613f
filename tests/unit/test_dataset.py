"""The Iris data is what the schema says, and splits and profiles do what they promise."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from mlsys import dataset
from mlsys.iris import FEATURES, LABELS, SAMPLE


def test_the_columns_and_species_are_the_schemas_in_its_order() -> None:
    source = load_iris()
    assert [name.removesuffix(" (cm)").replace(" ", "_") for name in source.feature_names] == list(FEATURES)
    assert list(source.target_names) == list(LABELS)


def test_there_are_fifty_flowers_of_each_species_and_all_are_centimetres() -> None:
    flowers = dataset.load()
    assert flowers.values.shape == (150, 4)
    assert np.bincount(flowers.species).tolist() == [50, 50, 50]
    assert ((flowers.values > 0) & (flowers.values < 10)).all()


def test_the_sample_of_the_schema_is_the_first_flower() -> None:
    assert np.allclose(dataset.load().values[:1], SAMPLE)


def test_values_survive_the_way_through_float32_unchanged() -> None:
    values = dataset.load().values
    assert (values.astype(np.float32).astype(np.float64) == values).all()


def test_named_features_select_their_columns() -> None:
    petals = dataset.load(("petal_length", "petal_width"))
    assert (petals.values == dataset.load().values[:, 2:]).all()


def test_the_two_parts_share_no_flower_and_lose_none() -> None:
    flowers = dataset.load()
    numbered = dataset.Flowers(np.arange(150.0).reshape(150, 1), flowers.species)
    train, test = dataset.split(numbered, test_size=0.3, seed=0, stratified=True)
    assert (len(train), len(test)) == (105, 45)
    assert sorted(np.r_[train.values, test.values].ravel()) == list(range(150))


def test_a_stratified_split_keeps_the_shares_of_the_species() -> None:
    train, test = dataset.split(dataset.load(), test_size=0.3, seed=1, stratified=True)
    assert np.bincount(train.species).tolist() == [35, 35, 35]
    assert np.bincount(test.species).tolist() == [15, 15, 15]


def test_the_seed_alone_decides_the_split() -> None:
    first, again, other = (
        dataset.split(dataset.load(), test_size=0.3, seed=seed, stratified=True)[0].sha256() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_fingerprint_changes_with_one_value_and_with_one_species() -> None:
    flowers = dataset.load()
    values, species = flowers.values.copy(), flowers.species.copy()
    values[7, 2] += 0.1
    species[7] = 2
    fingerprints = {
        flowers.sha256(),
        dataset.Flowers(values, flowers.species).sha256(),
        dataset.Flowers(flowers.values, species).sha256(),
    }
    assert len(fingerprints) == 3


def test_surroundings_are_float32_points_over_the_range_widened_by_half() -> None:
    flowers = dataset.load()
    points = dataset.surroundings(flowers, 20_000, seed=0)
    low, high = flowers.values.min(axis=0), flowers.values.max(axis=0)
    assert (points == points.astype(np.float32)).all()
    assert points.min(axis=0) == pytest.approx(low - (high - low) / 4, abs=0.01)
    assert points.max(axis=0) == pytest.approx(high + (high - low) / 4, abs=0.01)


def test_a_profile_has_21_rising_quantiles_from_least_to_greatest() -> None:
    flowers = dataset.load()
    for column, feature in zip(flowers.values.T, dataset.profile(flowers, FEATURES), strict=True):
        assert len(feature.quantiles) == 21
        assert feature.quantiles == sorted(feature.quantiles)
        assert (feature.quantiles[0], feature.quantiles[20]) == pytest.approx((column.min(), column.max()))
        assert feature.quantiles[10] == pytest.approx(np.median(column))
        assert (feature.mean, feature.std) == pytest.approx((column.mean(), column.std()), abs=1e-6)
