"""Tests of how members are spread over calls, threads and memory."""

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.ensembles.factories import Factory, ProgramSpec
from jaxmlp.ensembles.parallelism import Parallelism, choose_parallelism, with_less_memory
from jaxmlp.ensembles.programs import MemberInputs, make_programs
from jaxmlp.fitting import Plan

OPTIONS = {
    "strategy": "auto",
    "members_at_once": None,
    "threads": 2,
    "stops_early": False,
    "stages": 1,
}


def choose(members, **options):
    return choose_parallelism(members, **OPTIONS | options)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 8),
    st.none() | st.integers(1, 40),
    st.booleans(),
)
def test_calls_hold_whole_batches_and_few_places_are_left_empty(members, threads, width, early):
    parallelism = choose(members, threads=threads, members_at_once=width, stops_early=early)
    assert parallelism.per_call % parallelism.width == 0
    assert parallelism.width <= members
    assert parallelism.threads == threads
    calls = -(-members // parallelism.per_call)
    assert calls * parallelism.per_call - members < parallelism.per_call
    # The last thread is not left waiting for one long call.
    if calls > 1:
        assert parallelism.per_call <= max(parallelism.width, members / parallelism.threads)


def test_on_cpu_members_go_four_at_once_and_one_by_one_where_they_stop_early():
    assert choose(100).width == 4
    assert choose(100, stops_early=True).width == 1
    assert choose(6).width == 3


@pytest.mark.parametrize(("members", "stages"), [(800, 1), (400, 2), (3, 60)])
def test_a_sweep_of_few_calls_has_no_loop_over_members_in_its_program(members, stages):
    few = choose(members, stages=stages)
    assert few.per_call == few.width
    # What many calls cost would be more than the loop compiles.
    many = choose(members, stages=201)
    assert many.per_call == max(many.width, -(-members // many.width // 8) * many.width)


def test_vmap_computes_all_members_in_one_call():
    parallelism = choose(100, strategy="vmap", threads=None)
    assert parallelism == Parallelism(per_call=100, width=100, threads=1)


def test_a_call_takes_no_more_parts_than_pay():
    """It holds the states of its members, before and after, and their orders of rows."""
    for members in (2_000, 10_000, 100_000):
        parallelism = choose(members, threads=2)
        assert parallelism.per_call == 32 * parallelism.width


def test_shard_spreads_members_over_all_devices():
    parallelism = choose(100, strategy="shard", threads=None)
    assert parallelism == Parallelism(per_call=104, width=4, threads=1, devices=2)
    assert with_less_memory(parallelism) == Parallelism(per_call=56, width=4, threads=1, devices=2)


def test_shard_needs_several_devices(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    with pytest.raises(ValueError, match=r"needs several local devices; got one.*num_cpu_devices"):
        choose(100, strategy="shard", threads=None)


@pytest.mark.parametrize(
    "parallelism",
    [
        Parallelism(per_call=1000, width=1000, threads=1),
        Parallelism(per_call=96, width=3, threads=2),
    ],
)
def test_memory_is_halved_down_to_one_member(parallelism):
    sizes = []
    while parallelism is not None:
        assert parallelism.per_call % parallelism.width == 0
        sizes.append(parallelism.per_call * parallelism.threads)
        last, parallelism = parallelism, with_less_memory(parallelism)
    assert last == Parallelism(per_call=1, width=1, threads=1)
    assert (np.diff(sizes) < 0).all()
    assert len(sizes) < 13


def test_programs_are_compiled_anew_for_other_settings_of_jax():
    functions = Factory(lambda *_: None, False), Factory(optax.sgd(0.1), False)
    spec = ProgramSpec(*functions, Plan(), (), width=1, devices=1)
    programs = make_programs(spec, has_own_order=False, validated=False, key_kind="threefry2x32")
    arguments = (
        np.ones((1, 2), np.float32),
        MemberInputs({}, None, None, None),
        np.zeros((1, 2), "u4"),
    )
    with jax.default_matmul_precision("default"):
        default = programs.compiled("start", *arguments)
        assert programs.compiled("start", *arguments) is default
    with jax.default_matmul_precision("highest"):
        assert programs.compiled("start", *arguments) is not default
