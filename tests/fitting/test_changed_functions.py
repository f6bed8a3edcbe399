"""What functions read is read anew where it has changed: no program is used for other content."""

import collections
import dataclasses
import functools
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import compilations
from fits import KEY

import jaxmlp
from jaxmlp.fitting.code_contents import NoKeyError
from jaxmlp.fitting.program_cache import content_key

# One thing at a time, each changed between two fits: what the loss is multiplied by.
SCALE = 1.0
NESTED = {"scale": [1.0]}
ARRAY = np.ones(2, np.float32)
MODULE = types.ModuleType("settings")
MODULE.scale = 1.0


class Scale:
    of_class = 1.0

    def __init__(self, scale=1.0):
        self.scale = scale

    def by_attribute(self):
        return self.scale

    def changed(self):
        return self.scale

    def by_class(self):
        return self.of_class

    __eq__ = None  # cannot be hashed, so that nothing is looked up by it
    __hash__ = None


@dataclasses.dataclass
class Slotted:
    __slots__ = ("scale",)
    scale: float


class Referenced(Scale):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def by_global():
    return SCALE


def by_default(scale=1.0):
    return scale


def by_keyword(*, scale=1.0):
    return scale


def by_own_attribute():
    return by_own_attribute.scale


by_own_attribute.scale = 1.0
INSTANCE, SLOTTED = Scale(), Slotted(1.0)


def make_closure():
    scale, held = 1.0, [1.0]

    def by_cell():
        return scale

    def by_list():
        return held[0]

    def change(value):
        nonlocal scale
        scale = held[0] = value

    return by_cell, by_list, change


BY_CELL, BY_LIST, CHANGE_CELLS = make_closure()


def set_global(value):
    globals()["SCALE"] = value


CASES = {
    "global": (by_global, set_global),
    "global through a function": (lambda: by_global(), set_global),
    "global through a nested function": (lambda: (lambda: by_global())(), set_global),
    "entry of a dict": (lambda: NESTED["scale"][0], lambda v: NESTED.update(scale=[v])),
    "entry of a list in a dict": (
        lambda: NESTED["scale"][0],
        lambda v: NESTED["scale"].__setitem__(0, v),
    ),
    "small array": (lambda: ARRAY[0], lambda v: ARRAY.fill(v)),
    "attribute of a module": (lambda: MODULE.scale, lambda v: setattr(MODULE, "scale", v)),
    "default": (by_default, lambda v: setattr(by_default, "__defaults__", (v,))),
    "keyword's default": (
        by_keyword,
        lambda v: setattr(by_keyword, "__kwdefaults__", {"scale": v}),
    ),
    "attribute of a function": (by_own_attribute, lambda v: setattr(by_own_attribute, "scale", v)),
    "attribute": (lambda: INSTANCE.scale, lambda v: setattr(INSTANCE, "scale", v)),
    "attribute of a bound object": (INSTANCE.by_attribute, lambda v: setattr(INSTANCE, "scale", v)),
    "attribute of the class": (INSTANCE.by_class, lambda v: setattr(Scale, "of_class", v)),
    "slot": (lambda: SLOTTED.scale, lambda v: setattr(SLOTTED, "scale", v)),
    "cell": (BY_CELL, CHANGE_CELLS),
    "list in a cell": (BY_LIST, CHANGE_CELLS),
    "method": (
        lambda: INSTANCE.changed(),
        lambda v: setattr(Scale, "changed", lambda self: v * self.scale),
    ),
    "partial": (functools.partial(by_default), lambda v: setattr(by_default, "__defaults__", (v,))),
}


def make_scaled(scale):
    def loss_fn(params, batch, key):
        del batch, key
        return scale() * jnp.sum(params["w"] ** 2), {}

    return loss_fn


LOADER = jaxmlp.DataLoader(np.zeros((4, 1)), batch_size=2)


def run(loss_fn, optimizer=None):
    optimizer = optimizer or optax.sgd(0.0)
    params = {"w": jnp.ones(3)}
    return float(
        jaxmlp.fit(loss_fn, optimizer, params, LOADER, epochs=1, key=KEY).history["loss"][0]
    )


@pytest.mark.parametrize("name", CASES)
def test_what_a_loss_reads_is_read_anew_where_it_has_changed(name):
    scale, change = CASES[name]
    loss_fn = make_scaled(scale)
    change(1.0)
    assert run(loss_fn) == 3.0
    change(100.0)
    try:
        assert run(loss_fn) == 300.0
    finally:
        change(1.0)
    assert run(loss_fn) == 3.0


def test_what_members_losses_read_is_read_anew():
    def fit_members():
        result = jaxmlp.fit_members(
            make_scaled(by_global),
            optax.sgd(0.0),
            {"w": jnp.ones((2, 3))},
            LOADER,
            epochs=1,
            keys=jax.random.split(KEY, 2),
        )
        return result.history["loss"][:, 0].tolist()

    assert fit_members() == [3.0, 3.0]
    set_global(100.0)
    try:
        assert fit_members() == [300.0, 300.0]
    finally:
        set_global(1.0)


def test_what_an_optimizer_reads_is_read_anew():
    def run_with_rate():
        optimizer = optax.stateless(lambda g, _: jax.tree.map(lambda a: -SCALE * 0.01 * a, g))
        params = {"w": jnp.ones(())}
        fit = functools.partial(jaxmlp.fit, make_scaled(by_default), optimizer, params, LOADER)
        return float(fit(epochs=1, key=KEY).params["w"])

    first = run_with_rate()
    set_global(2.0)
    try:
        assert run_with_rate() != first
    finally:
        set_global(1.0)


def test_a_count_of_traces_does_not_compile_anew():
    traces = []

    def loss_fn(params, batch, key):
        del batch, key
        traces.append(1)
        return jnp.sum(params["w"] ** 2), {}

    optimizer = optax.sgd(0.0)
    for _ in range(3):
        run(loss_fn, optimizer)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "hidden", [iter([1]), np.random.default_rng(0), (i for i in ()), collections.deque([1])]
)
def test_what_cannot_be_seen_has_no_key(hidden):
    with pytest.raises(NoKeyError):
        content_key(lambda: hidden)


def test_what_a_weak_reference_leads_to_is_looked_at():
    seen = Referenced(1.0)
    found = weakref.WeakSet([seen])
    reference = weakref.ref(seen)
    before = [content_key(lambda: reference), content_key(lambda: found)]
    seen.scale = 2.0
    assert content_key(lambda: reference) != before[0]
    assert content_key(lambda: found) != before[1]


def test_a_loss_without_a_key_is_compiled_for_every_fit():
    hidden = iter([1])

    def loss_fn(params, batch, key):
        del batch, key
        return SCALE * jnp.sum(params["w"] ** 2) + (0 if hidden else 1), {}

    assert run(loss_fn) == 3.0
    with compilations() as counts:
        run(loss_fn)
    assert counts["run_epochs"] == 1
