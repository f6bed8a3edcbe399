"""Tests of when successive halving drops candidates, and which."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.ensembles import Halving
from jaxmlp.ensembles.halving import choose_survivors, plan_rungs


def test_rungs_are_those_of_the_paper():
    # Li et al. 2018, table 1, bracket s = 4: 81, 27, 9, 3 and 1 candidates at 1, 3, 9, 27 and 81.
    rungs = plan_rungs(Halving(first_epochs=1), candidates=81, epochs=81)
    assert rungs == [(1, 27), (3, 9), (9, 3), (27, 1)]


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 500), st.integers(2, 300), st.integers(2, 5), st.data())
def test_rungs_keep_one_in_factor_until_the_last_epoch_or_candidate(n, epochs, factor, data):
    first = data.draw(st.integers(1, epochs - 1))
    rungs = plan_rungs(Halving(first_epochs=first, factor=factor), candidates=n, epochs=epochs)
    before = n
    for number, (epoch, survivors) in enumerate(rungs):
        assert epoch == first * factor**number < epochs
        assert survivors * factor >= before > (survivors - 1) * factor
        before = survivors
    assert before == 1 or first * factor ** len(rungs) >= epochs


def test_the_best_go_on():
    scores = np.array([0.3, 0.1, np.nan, 0.2])
    assert choose_survivors(scores, 2, "min").tolist() == [False, True, False, True]
    assert choose_survivors(scores, 2, "max").tolist() == [True, False, False, True]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_of_equal_candidates_the_first_go_on(mode):
    assert choose_survivors(np.ones(4), 2, mode).tolist() == [True, True, False, False]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_candidate_without_score_never_goes_on(mode):
    scores = np.array([np.nan, 1.0, np.nan])
    assert choose_survivors(scores, 3, mode).tolist() == [False, True, False]


CASES = {
    "no epochs": (
        lambda: Halving(first_epochs=0),
        ValueError,
        "first_epochs must be an int of at least 1; got 0",
    ),
    "half an epoch": (lambda: Halving(first_epochs=0.5), TypeError, "first_epochs must be an int"),
    "factor 1": (
        lambda: Halving(first_epochs=1, factor=1),
        ValueError,
        "factor must be an int of at least 2; got 1",
    ),
    "too late": (
        lambda: plan_rungs(Halving(first_epochs=9), candidates=4, epochs=9),
        ValueError,
        "halving must drop candidates before the last epoch, or it has no effect; got "
        "first_epochs=9, epochs=9",
    ),
    "one candidate": (
        lambda: plan_rungs(Halving(first_epochs=1), candidates=1, epochs=9),
        ValueError,
        "halving needs at least two candidates",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=re.escape(message)):
        call()
