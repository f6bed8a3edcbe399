"""Tests that no weight is lost where rows' weights become float32."""

import numpy as np
import pytest

from jaxmlp import Batch, DataLoader, sources

X = np.ones((4, 1), np.float32)
WEIGHT = np.array([0.0, 0.5, 1.0, 3.0])


def weights(weight):
    return DataLoader(X, None, weight, batch_size=4).rows.weight


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-30, 1e30, 1e38, 1e40, 1e300])
def test_weights_that_float32_does_not_hold_keep_their_ratios(scale):
    got = np.float64(weights(WEIGHT * scale))
    # One rounding each.
    np.testing.assert_allclose(got / got[2], WEIGHT, rtol=2e-7)
    assert 0.25 <= got.max() <= 2


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e3, 1e8])
def test_usual_weights_are_kept_as_they_are(scale):
    np.testing.assert_array_equal(weights(WEIGHT * scale), np.float32(WEIGHT * scale))


def test_a_scale_by_a_power_of_two_changes_no_digit():
    weight = np.random.default_rng(0).gamma(1.0, size=4)
    # 2 ** 901 is far from float32.
    got, expected = weights(np.ldexp(weight, 901)), np.float32(weight)
    np.testing.assert_array_equal(got / got[0], expected / expected[0])


def test_small_weights_beside_moderate_ones_are_kept_by_scaling():
    got = np.float64(weights(np.array([1e-39, 1e-3, 1e-4, 0.0])))
    np.testing.assert_allclose(got / got[1], [1e-36, 1, 0.1, 0], rtol=2e-7)


@pytest.mark.parametrize("weight", [[1e-300, 1, 1, 1], [1e300, 1e200, 1, 0], [1, 1, 1, 1e-45]])
def test_a_weight_that_would_be_0_beside_the_largest_is_refused(weight):
    message = r"weight must be 0 or at least 1e-37 times the largest, .*; got .* beside 1.*Set them"
    with pytest.raises(ValueError, match=message):
        weights(np.array(weight))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e300])
def test_what_is_no_weight_is_refused_at_any_scale(bad):
    with pytest.raises(ValueError, match=r"weight must be (finite|at least 0)"):
        weights(np.array([bad, 1e300, 1e300, 1e300]))


class Tiny:
    """A source of one's own with weights that float32 rounds to 0."""

    chunks = None

    def __len__(self):
        return 4

    def fingerprint(self):
        return "tiny"

    def read(self, rows):
        return Batch(X[rows], None, np.full(len(rows), 1e-300))


def test_a_source_that_gives_such_weights_is_refused():
    loader = DataLoader(Tiny(), batch_size=2)
    with pytest.raises(ValueError, match=r"weight must be 0 or at least 1\.2e-38 in every row"):
        next(iter(loader))


def test_a_file_that_holds_such_weights_is_refused_by_its_row(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "w.npy", np.array([1.0, 1.0, 1e-300, 1.0]))
    source = sources.npy(tmp_path / "x.npy", weight=tmp_path / "w.npy")
    message = r"w\.npy, row 2 must be 0 or at least 1\.2e-38, .*; got 1e-300\. Multiply all"
    with pytest.raises(ValueError, match=message):
        source.read(np.arange(4))
