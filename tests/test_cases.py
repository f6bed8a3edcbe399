import itertools

import pytest
from cases import choose

pytest_plugins = "pytester"

CUBE = """
    import pytest

    @pytest.mark.parametrize("last", [0, 1, 2, 3])
    @pytest.mark.parametrize(("kind", "width"), [("a", 1), ("b", 2), ("c", 2)])
    @pytest.mark.parametrize("x", [[1.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    def test_cube(x, kind, width, last):
        pass
"""
LINE = """
    import pytest

    @pytest.mark.parametrize(("a", "b"), [(a, 2 * a) for a in range(10)])
    def test_line(a, b):
        pass
"""
CUBE_NAMES = {
    f"x{x}-{kind}-{last}"
    for x, kind, last in itertools.product(range(6), ("a-1", "b-2", "c-2"), range(4))
}


@pytest.fixture
def choose_of(pytester):
    """Chooses of the cases of a module with one test: a list of their names in brackets."""

    def run(source, every):
        return [
            name.partition("[")[2].rstrip("]") for name in choose(pytester.getitems(source), every)
        ]

    return run


@pytest.mark.parametrize("every", [2, 3, 4, 5, 72, 1000])
def test_each_value_of_each_parameter_is_chosen(choose_of, every):
    chosen = choose_of(CUBE, every)
    assert CUBE_NAMES.issuperset(chosen)
    assert {name[:2] for name in chosen} == {f"x{x}" for x in range(6)}
    assert {name[3:6] for name in chosen} == {"a-1", "b-2", "c-2"}
    assert {name[-1] for name in chosen} == set("0123")


# The longest list of values has six.
@pytest.mark.parametrize(("every", "cases"), [(1, 72), (2, 36), (5, 15), (12, 6), (1000, 6)])
def test_every_nth_combination_is_chosen(choose_of, every, cases):
    chosen = choose_of(CUBE, every)
    assert len(chosen) == len(set(chosen)) == cases


@pytest.mark.parametrize(("every", "cases"), [(1, 10), (3, 4), (1000, 1)])
def test_of_one_parameter_every_nth_value_is_chosen(choose_of, every, cases):
    assert len(choose_of(LINE, every)) == cases


def test_the_choice_is_the_same_in_every_process(pytester):
    items = pytester.getitems(CUBE)
    assert choose(items, 3) == choose(items[::-1], 3)


def test_a_test_without_parameters_is_chosen(choose_of):
    assert choose_of("def test_alone(): pass", 5) == [""]
