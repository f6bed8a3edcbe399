"""Tests of the progress bar: shown where someone sees it, and nowhere else."""

import contextlib
import io
import sys
import types

import pytest
from fits import fit


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit_in_terminal(**settings):
    with contextlib.redirect_stderr(Terminal()) as stream:
        result = fit(**settings)
    return result, stream.getvalue()


@pytest.fixture
def without_tqdm(monkeypatch):
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("progress", [None, False])
def test_a_fit_is_silent_where_there_is_no_terminal(progress, capfd):
    fit(progress=progress)
    assert capfd.readouterr() == ("", "")


def test_a_fit_is_silent_on_request():
    assert fit_in_terminal(progress=False)[1] == ""


class TestShown:
    @pytest.fixture(autouse=True)
    def _needs_tqdm(self):
        pytest.importorskip("tqdm")

    def test_in_a_terminal(self):
        assert "5/5" in fit_in_terminal()[1]

    def test_on_request_without_a_terminal(self, capsys):
        fit(progress=True)
        assert "5/5" in capsys.readouterr().err

    def test_in_a_notebook(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
        fit()
        assert "5/5" in capsys.readouterr().err

    def test_with_the_latest_metrics(self):
        result, written = fit_in_terminal()
        shown = written.rsplit("\r", 1)[-1]
        for name in ("loss", "accuracy"):
            assert f"{name}={result.history[name][-1]:.4g}" in shown
        assert "epoch=" not in shown

    def test_up_to_the_epoch_that_stopped_the_run(self):
        _, written = fit_in_terminal(on_epoch=lambda _, metrics: metrics["epoch"] == 2)
        assert "3/5" in written
        assert "5/5" not in written

    def test_and_closed_when_training_fails(self):
        with contextlib.redirect_stderr(Terminal()) as stream, pytest.raises(ZeroDivisionError):
            fit(on_epoch=lambda *_: 1 / 0)
        # An open bar's line has no end.
        assert stream.getvalue().endswith("\n")


@pytest.mark.bad_input
def test_a_bar_without_tqdm_names_the_extra(without_tqdm):
    del without_tqdm
    with pytest.raises(ImportError, match=r"progress=True needs tqdm.*pip install 'jaxmlp\[prog"):
        fit(progress=True)


def test_a_terminal_without_tqdm_shows_nothing(without_tqdm):
    del without_tqdm
    assert fit_in_terminal()[1] == ""


def test_a_process_without_standard_error_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert fit().stopped_by == "epochs"
