"""Tests of the criteria for numbers against closed forms, SciPy, scikit-learn and PyTorch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from jaxmlp import losses

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(0, 2, (9, 4))
TARGETS = RNG.normal(0, 2, (9, 4))
COUNTS = RNG.poisson(3, (9, 4))

# Both sides round in float64, in sums of a few terms.
EXACT = {"rtol": 1e-12, "atol": 1e-14}

pytestmark = pytest.mark.usefixtures("x64")


class TestSquaredError:
    def test_it_is_the_mean_square_of_the_residuals_of_a_row(self):
        loss = losses.squared_error(np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]]))
        np.testing.assert_allclose(loss, [(4 + 9) / 2], **EXACT)

    def test_it_agrees_with_scikit_learn(self):
        expected = sklearn.metrics.mean_squared_error(TARGETS, OUTPUTS)
        loss = losses.squared_error(OUTPUTS, TARGETS)
        np.testing.assert_allclose(loss.mean(), expected, **EXACT)


class TestAbsoluteError:
    def test_it_is_the_mean_size_of_the_residuals_of_a_row(self):
        loss = losses.absolute_error(np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]]))
        np.testing.assert_allclose(loss, [(2 + 3) / 2], **EXACT)

    def test_it_agrees_with_scikit_learn(self):
        expected = sklearn.metrics.mean_absolute_error(TARGETS, OUTPUTS)
        loss = losses.absolute_error(OUTPUTS, TARGETS)
        np.testing.assert_allclose(loss.mean(), expected, **EXACT)


class TestHuber:
    @pytest.mark.parametrize(
        ("residual", "delta", "expected"),
        [(0.5, 1.0, 0.125), (1.0, 1.0, 0.5), (-3.0, 1.0, 2.5), (-3.0, 2.0, 4.0), (3.0, 4.0, 4.5)],
    )
    def test_it_is_a_parabola_up_to_delta_and_a_line_beyond(self, residual, delta, expected):
        loss = losses.huber(np.array([[residual]]), np.array([0.0]), delta=delta)
        np.testing.assert_allclose(loss, [expected], **EXACT)

    @pytest.mark.parametrize("delta", [0.3, 1.0, 5.0])
    def test_it_agrees_with_torch(self, delta):
        torch = pytest.importorskip("torch")
        expected = torch.nn.functional.huber_loss(
            torch.tensor(OUTPUTS), torch.tensor(TARGETS), delta=delta, reduction="none"
        ).mean(dim=-1)
        np.testing.assert_allclose(losses.huber(OUTPUTS, TARGETS, delta=delta), expected, **EXACT)

    @pytest.mark.parametrize("delta", [0.0, -1.0, math.nan])
    def test_delta_must_be_above_0(self, delta):
        with pytest.raises(ValueError, match=f"delta must be above 0; got {delta}"):
            losses.huber(OUTPUTS, TARGETS, delta=delta)


class TestPoisson:
    def test_it_agrees_with_scipy_up_to_the_constant(self):
        likelihood = scipy.stats.poisson.logpmf(COUNTS, np.exp(OUTPUTS))
        constant = scipy.special.gammaln(COUNTS + 1)
        expected = np.mean(-likelihood - constant, axis=-1)
        # SciPy's gammaln(31) is some 75, so the difference loses two digits.
        np.testing.assert_allclose(losses.poisson(OUTPUTS, COUNTS), expected, rtol=1e-10)

    def test_it_agrees_with_torch(self):
        torch = pytest.importorskip("torch")
        expected = torch.nn.functional.poisson_nll_loss(
            torch.tensor(OUTPUTS), torch.tensor(COUNTS), reduction="none"
        ).mean(dim=-1)
        np.testing.assert_allclose(losses.poisson(OUTPUTS, COUNTS), expected, **EXACT)

    def test_the_logarithm_of_the_count_minimises_it(self):
        log_rates = np.log(np.maximum(COUNTS, 1))
        gradient = jax.grad(lambda z: losses.poisson(z, np.maximum(COUNTS, 1)).sum())(log_rates)
        np.testing.assert_allclose(gradient, 0, atol=1e-14)


class TestGaussian:
    def test_it_agrees_with_scipy(self):
        mean, raw = OUTPUTS[:, :2], OUTPUTS[:, 2:]
        scale = np.log1p(np.exp(raw)) + 0.01
        expected = -scipy.stats.norm.logpdf(TARGETS[:, :2], mean, scale).mean(axis=-1)
        loss = losses.gaussian(OUTPUTS, TARGETS[:, :2], min_scale=0.01)
        np.testing.assert_allclose(loss, expected, **EXACT)

    def test_it_agrees_with_torch(self):
        torch = pytest.importorskip("torch")
        mean, scale = losses.gaussian_parameters(OUTPUTS)
        expected = torch.nn.functional.gaussian_nll_loss(
            torch.tensor(np.array(mean)),
            torch.tensor(TARGETS[:, :2]),
            torch.tensor(np.array(scale) ** 2),
            full=True,
            reduction="none",
        ).mean(dim=-1)
        loss = losses.gaussian(OUTPUTS, TARGETS[:, :2])
        np.testing.assert_allclose(loss, expected, **EXACT)

    def test_a_vector_of_targets_is_one_target_per_row(self):
        loss = losses.gaussian(OUTPUTS[:, :2], TARGETS[:, 0])
        expected = losses.gaussian(OUTPUTS[:, :2], TARGETS[:, :1])
        np.testing.assert_array_equal(loss, expected)

    def test_means_come_first_and_scales_second(self):
        mean, _ = losses.gaussian_parameters(OUTPUTS)
        np.testing.assert_array_equal(mean, OUTPUTS[:, :2])

    def test_the_scale_is_softplus_plus_the_smallest_scale(self):
        _, scale = losses.gaussian_parameters(np.array([[7.0, 0.0]]), min_scale=0.5)
        np.testing.assert_allclose(scale, [[math.log(2) + 0.5]], **EXACT)

    @pytest.mark.parametrize("raw", [-1e4, 1e4])
    def test_the_scale_of_an_extreme_output_is_positive_and_finite(self, raw):
        _, scale = losses.gaussian_parameters(np.array([[0.0, raw]], np.float32))
        assert 1e-3 <= scale.item() < math.inf

    def test_an_exact_fit_has_a_finite_loss(self):
        loss = losses.gaussian(np.array([[1.0, -1e4]]), np.array([1.0]))
        np.testing.assert_allclose(loss, -scipy.stats.norm.logpdf(0, 0, 1e-3), **EXACT)

    @pytest.mark.parametrize("function", [losses.gaussian, losses.gaussian_parameters])
    def test_outputs_must_come_in_pairs(self, function):
        targets = () if function is losses.gaussian_parameters else (TARGETS[:, 0],)
        message = r"an even number; got outputs.shape=\(9, 3\). Set out_features to 2 \* targets"
        with pytest.raises(ValueError, match=message):
            function(OUTPUTS[:, :3], *targets)

    @pytest.mark.parametrize("min_scale", [0.0, -1.0, math.nan])
    def test_the_smallest_scale_must_be_above_0(self, min_scale):
        with pytest.raises(ValueError, match=f"min_scale must be above 0; got {min_scale}"):
            losses.gaussian(OUTPUTS, TARGETS[:, :2], min_scale=min_scale)


class TestQuantile:
    @pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
    def test_it_agrees_with_scikit_learn(self, level):
        expected = sklearn.metrics.mean_pinball_loss(TARGETS, OUTPUTS, alpha=level)
        loss = losses.quantile(OUTPUTS, TARGETS, levels=(level,))
        np.testing.assert_allclose(loss.mean(), expected, **EXACT)

    def test_levels_of_one_target_lie_next_to_each_other(self):
        # Target 0 is predicted as 1 at both levels, target 1 as 5 and 7.
        outputs = np.array([[1.0, 1.0, 5.0, 7.0]])
        loss = losses.quantile(outputs, np.array([[2.0, 6.0]]), levels=(0.1, 0.9))
        np.testing.assert_allclose(loss, [(0.1 * 1 + 0.9 * 1 + 0.1 * 1 + 0.1 * 1) / 4], **EXACT)

    def test_a_vector_of_targets_is_one_target_per_row(self):
        loss = losses.quantile(OUTPUTS, TARGETS[:, 0], levels=(0.1, 0.3, 0.5, 0.9))
        expected = losses.quantile(OUTPUTS, TARGETS[:, :1], levels=(0.1, 0.3, 0.5, 0.9))
        np.testing.assert_array_equal(loss, expected)

    @pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
    def test_the_true_quantile_minimises_it(self, level):
        targets = np.sort(np.random.default_rng(1).gamma(2.0, size=201))
        candidates = jnp.asarray(targets)[:, None, None] * jnp.ones((201, 201, 1))
        means = jax.vmap(lambda z: losses.quantile(z, targets, levels=(level,)).mean())(candidates)
        # The minimum lies on a target: that of rank ceil(level * 201).
        assert targets[np.argmin(means)] == np.quantile(targets, level, method="inverted_cdf")

    @pytest.mark.parametrize("levels", [(), (0.0,), (1.0,), (0.5, 1.5), (math.nan,)])
    def test_levels_must_be_probabilities(self, levels):
        with pytest.raises(ValueError, match=r"levels must be probabilities in \(0, 1\); got \("):
            losses.quantile(OUTPUTS, TARGETS, levels=levels)

    def test_outputs_must_be_a_multiple_of_the_levels(self):
        message = r"a multiple of 3; got outputs.shape=\(9, 4\). Set out_features to targets \* lev"
        with pytest.raises(ValueError, match=message):
            losses.quantile(OUTPUTS, TARGETS, levels=(0.1, 0.5, 0.9))

    def test_targets_are_counted_without_levels(self):
        message = r"quantile needs targets of shape \(9, 2\), one per output; got \(9, 4\)"
        with pytest.raises(ValueError, match=message):
            losses.quantile(OUTPUTS, TARGETS, levels=(0.1, 0.9))
