"""Tests that the orders of rows that members share are drawn once."""

import pickle

import numpy as np
import pytest
from fits import make_loader
from sweeps import MEMBERS, assert_same_members, fit_members, make_optimizer

from jaxmlp.ensembles import shared_orders
from jaxmlp.ensembles.shared_orders import SharedOrders


@pytest.fixture
def drawn(monkeypatch):
    """Numbers of the epochs whose orders were drawn, in order."""
    epochs, draw = [], shared_orders.padded_index

    def note(loader, epoch):
        epochs.append(epoch)
        return draw(loader, epoch)

    monkeypatch.setattr(shared_orders, "padded_index", note)
    return epochs


def test_each_epoch_is_drawn_once(drawn):
    loader = make_loader()
    orders = SharedOrders(loader)
    for epoch in (0, 1, 0, 1, 7):
        index = orders.index(epoch)[: len(loader)]
        np.testing.assert_array_equal(index, loader.index(epoch))
    assert drawn == [0, 1, 7]


def test_so_many_numbers_are_kept(drawn, monkeypatch):
    size = SharedOrders(make_loader()).index(0).size
    monkeypatch.setattr(shared_orders, "_MOST_NUMBERS", 2 * size)
    orders = SharedOrders(make_loader())
    del drawn[:]
    for epoch in (0, 1, 2, 0, 1, 2):
        orders.index(epoch)
    assert drawn == [0, 1, 2, 2]


def test_calls_of_a_sweep_share_orders(drawn, monkeypatch):
    once = fit_members(seeds=None, threads=2)
    # Two threads may come at the same time.
    assert len(drawn) <= 2 * len(set(drawn))
    monkeypatch.setattr(shared_orders, "_MOST_NUMBERS", 0)
    del drawn[:]
    assert_same_members(fit_members(seeds=None, threads=2), once)
    assert len(drawn) == MEMBERS * len(set(drawn))


def test_groups_share_orders(drawn):
    kinds = {"learning_rate": np.full(MEMBERS, 0.1), "kind": ["a", "b", "c"] + ["a"] * 4}
    fit_members(
        seeds=None,
        threads=1,
        hyperparameters=kinds,
        optimizer=lambda h: make_optimizer(h) if h["kind"] else None,
    )
    assert drawn == [0, 1, 2, 3]


def test_workers_draw_their_own(drawn):
    orders = SharedOrders(make_loader())
    orders.index(0)
    copied = pickle.loads(pickle.dumps(orders))
    np.testing.assert_array_equal(copied.index(0), orders.index(0))
    assert drawn == [0, 0]
