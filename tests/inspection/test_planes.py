"""Tests of planes through inputs: that they hold the rows, and follow what the network sees."""

import numpy as np
import pytest

import jaxmlp
from jaxmlp.inspection import plane_of_features, principal_plane

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 4)) * [1, 5, 0.1, 2] + 3
NAMES = ["a", "b", "c", "d"]
STATISTICS = jaxmlp.Standardization(X.mean(axis=0), X.std(axis=0))


def test_of_two_features_the_others_are_at_medians():
    plane = plane_of_features(X, (2, 0), NAMES, None)
    medians = np.median(X, axis=0)
    np.testing.assert_allclose(
        plane.points(np.array([5.0]), np.array([7.0]))[0, 0], [7.0, medians[1], 5, medians[3]]
    )
    assert (plane.features, plane.share) == ((2, 0), None)


def test_features_may_be_named():
    by_name, by_number = (plane_of_features(X, f, NAMES, None) for f in (("d", "b"), (3, 1)))
    np.testing.assert_array_equal(by_name.places, by_number.places)
    np.testing.assert_array_equal(by_name.places, X[:, [3, 1]])


def test_two_features_have_the_scales_by_which_the_network_divides():
    plane = plane_of_features(X, (1, 2), NAMES, STATISTICS)
    np.testing.assert_array_equal(plane.scale, X.std(axis=0)[[1, 2]])
    np.testing.assert_array_equal(plane_of_features(X, (1, 2), NAMES, None).scale, [1, 1])


def test_a_grid_has_u_across_and_v_up():
    points = plane_of_features(X, (0, 1), NAMES, None).points(
        np.arange(1.0, 4.0), np.arange(8.0, 10.0)
    )
    assert points.shape == (2, 3, 4)
    np.testing.assert_array_equal(points[1, :, :2], [[1, 9], [2, 9], [3, 9]])


def test_the_principal_plane_holds_rows_that_lie_in_a_plane():
    flat = GENERATOR.normal(size=(50, 2)) @ GENERATOR.normal(size=(2, 4)) + 3
    statistics = jaxmlp.Standardization(flat.mean(axis=0), flat.std(axis=0))
    for standardization in (None, statistics):
        plane = principal_plane(flat, standardization)
        assert (plane.features, plane.share) == (None, pytest.approx(1.0))
        found = plane.origin + plane.places @ plane.directions
        np.testing.assert_allclose(found, flat, rtol=1e-9)


@pytest.mark.parametrize("standardization", [None, STATISTICS])
def test_principal_components_are_those_of_what_the_network_sees(standardization):
    seen = X if standardization is None else (X - X.mean(axis=0)) / X.std(axis=0)
    _, sizes, components = np.linalg.svd(seen - seen.mean(axis=0), full_matrices=False)
    plane = principal_plane(X, standardization)
    np.testing.assert_allclose(
        np.abs(plane.places), np.abs((seen - seen.mean(axis=0)) @ components[:2].T), atol=1e-10
    )
    assert plane.share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum())


def test_the_largest_entry_of_a_principal_component_is_positive():
    directions = principal_plane(X, None).directions
    assert (directions[[0, 1], np.abs(directions).argmax(axis=1)] > 0).all()


def test_the_window_holds_all_rows_with_a_margin():
    plane = principal_plane(X, None)
    low, high = plane.places.min(axis=0), plane.places.max(axis=0)
    expected = [low - 0.08 * (high - low), high + 0.08 * (high - low)]
    np.testing.assert_allclose(plane.window().T, expected)


def test_of_rows_that_are_the_same_the_window_is_not_empty():
    window = plane_of_features(np.ones((3, 2)), (0, 1), NAMES[:2], None).window()
    np.testing.assert_array_equal(window, [[0.5, 1.5], [0.5, 1.5]])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ("ab", TypeError, "features must be two numbers or names"),
        ((0,), TypeError, "features must be two numbers or names"),
        ((0, 0), ValueError, "features must be two different ones"),
        ((0, 4), ValueError, "features must be an int .* below 4; got 4"),
        (("a", "x"), ValueError, "features must be names of .*; got 'x'"),
    ],
)
def test_other_features_are_refused(features, error, message):
    with pytest.raises(error, match=message):
        plane_of_features(X, features, NAMES, None)


@pytest.mark.bad_input
def test_rows_that_are_all_the_same_span_no_plane():
    with pytest.raises(ValueError, match="x must have rows that differ, which span a plane"):
        principal_plane(np.ones((5, 4)), None)
