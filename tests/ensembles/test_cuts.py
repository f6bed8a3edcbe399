"""Tests of how members are cut into pieces: by numbers alone, and each into one."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.ensembles import cuts
from jaxmlp.ensembles.cuts import choose_places, cut_group
from jaxmlp.ensembles.piece_plans import GroupPlan
from jaxmlp.ensembles.runs import COMPILE_SECONDS

# Stand-ins have what is read, and not the types.
pytestmark = pytest.mark.bad_input


class Loader:
    batch_size = 8

    def __len__(self):
        return 10


def make_group(epoch, stopped):
    """A group of members that have come so far; of its network and rows only sizes are read."""
    state = SimpleNamespace(
        epoch=epoch, stopped=stopped, train=SimpleNamespace(params={"kernel": np.zeros((1, 2))})
    )
    return SimpleNamespace(
        members=SimpleNamespace(numbers=np.arange(len(epoch))),
        progress=SimpleNamespace(state=state),
        setup=SimpleNamespace(loader=Loader()),
    )


@given(st.data())
def test_what_is_left_is_cut_as_it_was_before(data):
    members = data.draw(st.integers(1, 40))
    flags = st.lists(st.booleans(), min_size=members, max_size=members).map(np.array)
    dropped, stopped = data.draw(flags), data.draw(flags)
    places = data.draw(st.integers(1, 8))
    none, epoch = np.zeros(members, bool), np.full(members, 3)
    whole = list(cut_group(0, make_group(epoch, stopped), places, 5, dropped, none))
    cut = np.concatenate([[], *(piece.positions for piece in whole)])
    # Whoever goes on, once.
    assert cut.tolist() == np.flatnonzero(~dropped & ~stopped).tolist()
    # Some pieces have come back, and members of some of them have stopped in this stage.
    back = [piece for piece in whole if data.draw(st.booleans())]
    for piece in back:
        epoch[piece.positions] = 5
    rest = list(cut_group(0, make_group(epoch, stopped), places, 5, dropped, none))
    expected = [p.positions.tolist() for p in whole if not any(p is one for one in back)]
    assert [piece.positions.tolist() for piece in rest] == expected


def test_members_that_have_not_come_as_far_are_in_pieces_of_their_own():
    group = make_group(np.array([2, 0, 2, 0]), np.zeros(4, bool))
    none = np.zeros(4, bool)
    pieces = list(cut_group(0, group, 4, 5, none, none))
    assert [piece.positions.tolist() for piece in pieces] == [[1, 3], [0, 2]]


def places_of(monkeypatch, *, members, seconds, width=1, before=None, asked=None):
    """Members per piece where an epoch of one takes so many seconds."""
    monkeypatch.setattr(cuts, "seconds_per_step", lambda *_, **__: seconds / 10)
    group = make_group(np.zeros(members), np.zeros(members, bool))
    return choose_places(group, GroupPlan({}, width, asked, members), members, 1, before)


@pytest.mark.parametrize(
    ("members", "seconds", "width", "places"),
    [
        (10_000, 1e-3, 1, 128),  # a 64th, rounded down to a power of two
        (10_000, 0.1, 1, 32),  # 4 s
        (10_000, 100.0, 1, 1),
        (100, 1e-6, 1, 2),
        (10_000, 1e-3, 4, 128),
        (3, 1e-6, 4, 4),
    ],
)
def test_a_piece_takes_seconds_and_there_are_many(monkeypatch, members, seconds, width, places):
    assert places_of(monkeypatch, members=members, seconds=seconds, width=width) == places


def test_pieces_become_smaller_only_where_that_takes_longer_than_compiling(monkeypatch):
    quick, slow = COMPILE_SECONDS / 33, COMPILE_SECONDS / 31
    assert places_of(monkeypatch, members=64, seconds=quick, before=32) == 32
    assert places_of(monkeypatch, members=64, seconds=slow, before=32) == 1


def test_what_is_asked_for_is_rounded_up_to_members_at_once(monkeypatch):
    assert places_of(monkeypatch, members=64, seconds=1.0, width=4, asked=9) == 12
