"""Tests of predictions from members against NumPy and closed forms, and of greedy selection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations

from jaxmlp import ensembles

generator = np.random.default_rng(0)
LOGITS = generator.normal(0, 2, (5, 7, 3)).astype(np.float32)
WEIGHTS = np.array([1, 0, 2, 3, 1])
# The same members, each as often as it counts.
REPEATED = np.repeat(LOGITS, WEIGHTS, axis=0)
RTOL = 1e-5


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


def entropy(p):
    return -np.sum(p * np.log(p), axis=-1)


def test_mean_probabilities_are_the_mean_of_softmax():
    expected = softmax(LOGITS).mean(axis=0)
    np.testing.assert_allclose(ensembles.mean_probabilities(LOGITS), expected, rtol=RTOL)


def test_class_uncertainty_is_entropy_of_the_mean_and_mean_of_entropies():
    total, aleatoric, epistemic = ensembles.class_uncertainty(LOGITS)
    p = softmax(LOGITS)
    np.testing.assert_allclose(total, entropy(p.mean(axis=0)), rtol=RTOL)
    np.testing.assert_allclose(aleatoric, entropy(p).mean(axis=0), rtol=RTOL)
    np.testing.assert_allclose(epistemic, total - aleatoric, rtol=RTOL)


def test_certain_members_that_disagree_are_uncertain_together_and_finite():
    logits = jnp.array([[[1e4, -1e4]], [[-1e4, 1e4]]])
    total, aleatoric, epistemic = ensembles.class_uncertainty(logits)
    np.testing.assert_allclose([total[0], aleatoric[0], epistemic[0]], [np.log(2), 0, np.log(2)])


def test_mixture_has_the_moments_of_draws_from_it():
    means = generator.normal(size=(4, 1, 2))
    variances = generator.uniform(0.5, 2, (4, 1, 2))
    mixture = ensembles.mixture_moments(means.astype(np.float32), variances.astype(np.float32))
    member = generator.integers(0, 4, 400_000)
    draws = generator.normal(means[member, 0], np.sqrt(variances[member, 0]))
    # The standard error of a variance of 4e5 draws is about 0.3 %.
    np.testing.assert_allclose(mixture.mean[0], draws.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(mixture.variance[0], draws.var(axis=0), rtol=0.02)


def test_mixture_takes_noise_and_disagreement_apart():
    means, variances = LOGITS, np.exp(LOGITS)
    mixture = ensembles.mixture_moments(means, variances)
    np.testing.assert_allclose(mixture.aleatoric, variances.mean(axis=0), rtol=RTOL)
    np.testing.assert_allclose(mixture.epistemic, means.astype(float).var(axis=0), rtol=RTOL)


def test_disagreement_far_from_zero_does_not_cancel():
    means = np.float32(1e4) + np.array([[[0.0]], [[1.0]]], np.float32)
    assert ensembles.mixture_moments(means).epistemic.item() == 0.25


def test_without_variances_nothing_is_aleatoric():
    mixture = ensembles.mixture_moments(LOGITS)
    assert not mixture.aleatoric.any()
    np.testing.assert_array_equal(mixture.variance, mixture.epistemic)


def test_majority_vote_is_the_most_frequent_class():
    logits = generator.normal(size=(9, 200, 3)).astype(np.float32)
    counts = np.stack([(logits.argmax(-1) == c).sum(axis=0) for c in range(3)], axis=-1)
    clear = np.sort(counts, axis=-1)[:, -1] > np.sort(counts, axis=-1)[:, -2]
    votes = ensembles.majority_vote(logits)
    np.testing.assert_array_equal(votes[clear], counts.argmax(axis=-1)[clear])
    assert (~clear).sum() > 10
    # Ties go to the class, of those with the most votes, that has the larger mean probability.
    tied = np.where(counts == counts.max(axis=-1, keepdims=True), softmax(logits).mean(axis=0), -1)
    np.testing.assert_array_equal(votes, tied.argmax(axis=-1))


def test_a_row_with_nan_has_no_majority():
    logits = LOGITS.copy()
    logits[2, 3, 1] = np.nan
    votes = ensembles.majority_vote(logits)
    assert np.flatnonzero(votes == -1).tolist() == [3]


def test_member_quantiles_are_those_of_numpy():
    levels = np.array([0.0, 0.1, 0.5, 1.0])
    expected = np.quantile(LOGITS.astype(np.float64), levels, axis=0)
    result = ensembles.member_quantiles(LOGITS, levels)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def test_a_weight_counts_a_member_so_often():
    for function in (
        ensembles.mean_probabilities,
        ensembles.class_uncertainty,
        ensembles.mixture_moments,
        ensembles.majority_vote,
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            function(LOGITS, weights=WEIGHTS),
            function(REPEATED),
        )


@pytest.mark.parametrize(
    "function",
    [
        ensembles.mean_probabilities,
        ensembles.class_uncertainty,
        ensembles.mixture_moments,
        ensembles.majority_vote,
    ],
)
def test_a_member_of_weight_zero_does_not_count_even_where_it_is_nan(function):
    broken = LOGITS.copy()
    broken[1] = np.nan
    assert WEIGHTS[1] == 0
    jax.tree.map(
        np.testing.assert_array_equal,
        function(broken, weights=WEIGHTS),
        function(LOGITS, weights=WEIGHTS),
    )
    assert np.all(np.isnan(ensembles.mean_probabilities(broken)))


def test_selected_weights_leave_out_a_member_that_is_nan():
    predictions = PREDICTIONS.copy()
    predictions[2] = np.nan
    counts = ensembles.select_greedily(predictions, squared, picks=5)
    mean = ensembles.mixture_moments(predictions, weights=counts).mean
    np.testing.assert_allclose(
        mean, np.average(np.delete(PREDICTIONS, 2, 0), 0, np.delete(counts, 2)), rtol=RTOL
    )


@pytest.mark.parametrize("masked", [-np.inf, -3e38])
def test_a_masked_class_adds_nothing_to_entropies(masked):
    with_class = np.concatenate([LOGITS, np.full((5, 7, 1), masked, np.float32)], axis=-1)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL, atol=1e-6),
        ensembles.class_uncertainty(with_class),
        ensembles.class_uncertainty(LOGITS),
    )


def test_uncertainty_of_a_nan_member_is_nan():
    broken = LOGITS.copy()
    broken[1, 0] = np.nan
    for entropy_ in ensembles.class_uncertainty(broken):
        assert np.flatnonzero(np.isnan(entropy_)).tolist() == [0]


def test_one_member_is_itself_and_agrees_with_itself():
    one = LOGITS[:1]
    np.testing.assert_array_equal(ensembles.majority_vote(one), one[0].argmax(-1))
    mixture = ensembles.mixture_moments(one, np.exp(one), weights=np.array([3]))
    np.testing.assert_array_equal(mixture.mean, one[0])
    assert not mixture.epistemic.any()
    np.testing.assert_allclose(ensembles.class_uncertainty(one).epistemic, 0, atol=1e-6)


def test_weights_may_be_a_list():
    np.testing.assert_array_equal(
        ensembles.mean_probabilities(LOGITS, weights=WEIGHTS.tolist()),
        ensembles.mean_probabilities(LOGITS, weights=WEIGHTS),
    )


@pytest.mark.bad_input
def test_votes_that_were_counted_already_are_refused():
    with pytest.raises(TypeError, match=r"majority_vote needs logits.*got int32\[5, 7\]"):
        ensembles.majority_vote(LOGITS.argmax(-1))


def test_the_order_of_members_does_not_matter():
    for function in (ensembles.mean_probabilities, ensembles.mixture_moments):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL, atol=1e-6),
            function(LOGITS),
            function(LOGITS[::-1]),
        )


def test_predictions_from_members_compile():
    compiled = jax.jit(ensembles.mean_probabilities)(LOGITS)
    np.testing.assert_allclose(compiled, ensembles.mean_probabilities(LOGITS), rtol=RTOL)


PREDICTIONS = generator.normal(size=(6, 12, 1)).astype(np.float32)
TARGETS = generator.normal(size=(12, 1)).astype(np.float32)


def squared(predictions):
    return jnp.mean((predictions - TARGETS) ** 2)


def greedy_by_hand(picks, start=0):
    """Caruana et al. 2004: the best sum so far plus the member that helps most."""
    alone = [float(np.mean((p - TARGETS) ** 2)) for p in PREDICTIONS.astype(float)]
    chosen = [int(k) for k in np.argsort(alone)[:start]]
    losses = {}
    if chosen:
        mean = PREDICTIONS[chosen].astype(float).mean(axis=0)
        losses[tuple(chosen)] = np.mean((mean - TARGETS) ** 2)
    while len(chosen) < picks:
        means = [PREDICTIONS[[*chosen, k]].astype(float).mean(axis=0) for k in range(6)]
        values = [np.mean((mean - TARGETS) ** 2) for mean in means]
        chosen.append(int(np.argmin(values)))
        losses[tuple(chosen)] = min(values)
    return np.bincount(min(losses, key=losses.get), minlength=6)


@pytest.mark.parametrize(("picks", "start"), [(1, 0), (4, 0), (15, 0), (6, 3)])
def test_greedy_selection_is_the_algorithm_of_the_paper(picks, start):
    counts = ensembles.select_greedily(PREDICTIONS, squared, picks=picks, start=start)
    np.testing.assert_array_equal(counts, greedy_by_hand(picks, start))


def test_greedy_selection_is_no_worse_than_the_best_member():
    counts = ensembles.select_greedily(PREDICTIONS, squared, picks=10)
    mean = np.average(PREDICTIONS, axis=0, weights=counts)
    assert squared(mean) <= min(map(squared, PREDICTIONS))


def test_greedy_selection_finds_the_pair_that_cancels():
    noise = generator.normal(size=(12, 1)).astype(np.float32)
    predictions = np.stack([TARGETS + 3, TARGETS + noise, TARGETS - noise])
    counts = ensembles.select_greedily(predictions, squared, picks=2)
    assert counts.tolist() == [0, 1, 1]


def test_greedy_selection_leaves_out_members_that_are_not_finite():
    predictions = PREDICTIONS.copy()
    best = int(np.argmin([squared(p) for p in predictions]))
    predictions[best, 0] = np.nan
    assert ensembles.select_greedily(predictions, squared, picks=5)[best] == 0


def test_greedy_selection_by_an_equal_loss_compiles_nothing_by_another_it_does():
    def select(power):
        def loss(p):
            return jnp.mean(jnp.abs(p - TARGETS) ** power)

        return ensembles.select_greedily(PREDICTIONS, loss, picks=3).tolist()

    first = select(2)
    with compilations() as counts:
        assert select(2) == first
        assert not counts
        assert select(8) != first
    assert counts["losses_with"] == 1


@pytest.mark.bad_input
def test_bad_arguments_of_predictions_are_refused():
    with pytest.raises(ValueError, match=r"weights must have one number per member, shape \(5,\)"):
        ensembles.mean_probabilities(LOGITS, weights=np.ones(4))
    for weights in (np.zeros(5), np.array([1, 1, 1, 1, -1]), np.array([1, 1, 1, 1, np.nan])):
        with pytest.raises(ValueError, match=r"weights must be finite numbers of at least 0"):
            ensembles.mean_probabilities(LOGITS, weights=weights)
    with pytest.raises(ValueError, match=r"variances must have the shape of means"):
        ensembles.mixture_moments(LOGITS, LOGITS[:, :1])
    for levels in (np.array([1.5]), np.array(0.5)):
        with pytest.raises(ValueError, match=r"quantiles must be levels in \[0, 1\]"):
            ensembles.member_quantiles(LOGITS, levels)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"picks": 0}, ValueError, "picks must be an int of at least 1"),
        ({"picks": 2, "start": 3}, ValueError, "start must be an int of at least 0 and below 3"),
        ({"loss": lambda p: p}, TypeError, "loss must return a scalar"),
        ({"loss": lambda p: jnp.mean(p) * jnp.nan}, ValueError, "loss must be finite for at least"),
    ],
)
def test_bad_arguments_of_greedy_selection_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ensembles.select_greedily(PREDICTIONS, **{"loss": squared, "picks": 2} | arguments)


@pytest.mark.bad_input
def test_greedy_selection_cannot_start_with_more_members_than_are_finite():
    predictions = PREDICTIONS.copy()
    predictions[1:] = np.nan
    with pytest.raises(ValueError, match=r"start must be at most .* finite loss, 1; got 2"):
        ensembles.select_greedily(predictions, squared, picks=3, start=2)
