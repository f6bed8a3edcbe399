"""A run that processes share is one run: the numbers and files of one, one decision, one error."""

import re
import shutil

import numpy as np
import pytest
from jobs import run_scenarios


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes of one device each saw."""
    folder = tmp_path_factory.mktemp("two")
    names = ("differences", "iterables", "callbacks", "signals", "failures", "own_rows")
    return folder, run_scenarios(folder, 2, 1, "train", *names, "lateness")


@pytest.fixture(scope="module")
def alone(two, tmp_path_factory):
    """What one process of two devices saw, which also goes on with what two have begun."""
    folder = tmp_path_factory.mktemp("alone")
    begun = folder / "going_on" / "begun"
    begun.mkdir(parents=True)
    shutil.copy(two[0] / "train" / "train" / "step_000000000024.safetensors", begun)
    shutil.copytree(two[0] / "own_rows" / "run", folder / "own_rows" / "begun")
    return folder, run_scenarios(folder, 1, 2, "train", "going_on", "own_rows")[0]


def test_it_gives_the_numbers_and_the_files_of_one_process_bit_for_bit(two, alone):
    assert two[1][0]["train"] == two[1][1]["train"] == alone[1]["train"]
    assert alone[1]["train"]["file"][0] == "step_000000000024.safetensors"


def test_another_number_of_processes_goes_on_with_it(two, alone):
    assert alone[1]["going_on"] == two[1][0]["train"]["resumed"]


def test_batches_of_the_user_s_own_are_shared_where_the_parameters_are(two):
    (whole, resumed), other = (seen["iterables"] for seen in two[1])
    assert whole == resumed
    assert other == [whole, resumed]


class TestOwnRows:
    """Of which each process holds others."""

    def test_a_run_is_resumed_bit_for_bit(self, two):
        for seen in two[1]:
            assert seen["own_rows"]["resumed"] == seen["own_rows"]["whole"]
            # 28 rows of the second process, in shares of 4.
            assert seen["own_rows"]["whole"][1:] == [4 * 7, "epochs"]
        assert two[1][0]["own_rows"]["whole"] == two[1][1]["own_rows"]["whole"]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("the same rows", r"each process must hold its own rows, but processes 0 and 1 hold"),
            ("not said", r"the number of rows is 28 in process 1 and 20 in .* process_local=True"),
            ("another form", r"types and shapes of a row: .*, 6\].* in process 1, and .*, 3\]"),
            ("validation", r"got a loader of process_local rows, \d+ of 48. Give all processes"),
            ("a process's rows changed", r"other rows: those of process 1 have changed"),
            (
                "all rows everywhere",
                r"with its own rows in each of 2 processes, and this one has all rows in each",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_in_both(self, two, name, message):
        for seen in two[1]:
            kind, text, _ = seen["own_rows"]["found"][name]
            assert kind == "ValueError"
            assert re.search(message, text), text

    def test_a_row_that_is_not_finite_is_told_by_its_number_among_all(self, two):
        for seen in two[1]:
            text, rows = seen["own_rows"]["not finite"]
            assert "the batch itself is not finite in x" in text
            # Row 27 of the second process; the first has 20.
            assert 47 in rows

    def test_another_number_of_processes_does_not_go_on_with_it(self, alone):
        kind, text, _ = alone[1]["own_rows"]["found"]["begun by others"]
        assert kind == "ValueError"
        assert re.search(
            r"with its own rows in each of 2 processes, and this one has all rows in", text
        )


class TestAgreement:
    def test_all_that_differs_is_named_in_all_processes(self, two):
        for seen in two[1]:
            for name, (kind, message, _) in seen["differences"]["found"].items():
                assert kind == "ValueError", name
                assert f"{name} " in message
                assert " in process 1 and " in message
                assert message.startswith("The processes of a run must do the same, but ")

    def test_nothing_is_written_before(self, two):
        assert two[1][0]["differences"]["made"] == []


class TestCallbacks:
    def test_the_first_process_alone_calls_back(self, two):
        assert [seen["callbacks"]["called"][1] for seen in two[1]] == [[0, 1, 2, 3], []]

    def test_the_first_alone_shows_progress_unless_others_are_asked(self, two):
        bars = [seen["callbacks"]["bars"] for seen in two[1]]
        assert bars == [[[None], [True], [False]], [[False], [True], [False]]]

    def test_one_that_asks_for_it_is_called_in_each(self, two):
        assert [seen["callbacks"]["everywhere"][1] for seen in two[1]] == [[0, 1, 2, 3]] * 2

    def test_it_changes_no_numbers(self, two):
        for seen in two[1]:
            for name in ("called", "everywhere"):
                assert seen["callbacks"][name][0] == seen["train"]["result"]

    @pytest.mark.parametrize("name", ["stops", "one of all stops"])
    def test_one_answer_stops_all_at_the_same_step(self, two, name):
        (first, _), (second, _) = (seen["callbacks"][name] for seen in two[1])
        assert first == second
        assert first[1:] == [12, "callback"]

    @pytest.mark.parametrize(("name", "origin"), [("raises", 0), ("one of all raises", 1)])
    def test_its_error_ends_all_and_names_its_process(self, two, name, origin):
        outcomes = [seen["callbacks"][name][0] for seen in two[1]]
        assert [outcome[:2] for outcome in outcomes] == [["KeyError", "'boom'"]] * 2
        assert outcomes[origin][2] == []
        assert f"the error of process {origin}" in outcomes[1 - origin][2][0]


class TestSignals:
    def test_one_to_any_process_stops_all_at_the_same_step(self, two):
        first, second = (seen["signals"]["result"] for seen in two[1])
        assert first == second
        assert first[2] == "interrupt"
        assert first[1] < 1_000_000

    def test_the_run_is_resumed_bit_for_bit(self, two):
        for seen in two[1]:
            assert seen["signals"]["resumed"] == seen["signals"]["whole"]


class TestFailures:
    def test_a_checkpoint_that_cannot_be_written_is_known_to_all_and_costs_nothing(self, two):
        for seen in two[1]:
            assert "the disk is full" in seen["failures"]["warned"][0]
            assert seen["failures"]["unwritten"] == seen["train"]["result"]

    def test_a_directory_that_is_not_shared_is_told(self, two):
        for seen in two[1]:
            kind, message, _ = seen["failures"]["unshared"]
            assert kind == "FileNotFoundError"
            assert "give checkpoint a directory that all processes share" in message

    def test_another_run_s_directory_is_refused_by_the_same_error_in_all(self, two):
        outcomes = [seen["failures"]["there"][:2] for seen in two[1]]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][0] == "FileExistsError"

    def test_a_number_that_is_not_finite_is_told_alike(self, two):
        outcomes = [seen["failures"]["nonfinite"] for seen in two[1]]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][0] == "NonFiniteError"


def test_one_that_comes_too_late_is_named_in_time(two):
    kind, message, seconds = two[1][0]["lateness"]
    assert kind == "TimeoutError"
    assert "waited 1 s for the end, and these processes have not come: 1" in message
    # It looks once a second, and the late one comes after six.
    assert seconds < 5.5


@pytest.mark.long
def test_four_processes_agree_and_are_close_to_one(tmp_path):
    seen = {}
    for count in (4, 1):
        (tmp_path / str(count)).mkdir()
        seen[count] = [
            found["train"]
            for found in run_scenarios(tmp_path / str(count), count, 4 // count, "train")
        ]
    assert seen[4] == seen[4][:1] * 4
    # Sums over four parts in another order, over 24 steps of Adam.
    np.testing.assert_allclose(seen[4][0]["losses"], seen[1][0]["losses"], rtol=1e-5)
