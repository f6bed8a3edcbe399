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


class Bare:
    """A stream with nothing but what `print` needs, as that of a logger."""

    def __init__(self):
        self.written = []

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass


class Broken(Terminal):
    """A terminal whose window is gone."""

    def isatty(self):
        raise OSError(5, "Input/output error")


def closed_stream():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"none": lambda: None, "closed": closed_stream, "bare": Bare, "broken": Broken}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("progress", [None, False])
def test_a_process_trains_whatever_its_standard_error_is(name, progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", STREAMS[name]())
    assert fit(progress=progress).stopped_by == "epochs"


class TestStreams:
    @pytest.fixture(autouse=True)
    def _needs_tqdm(self):
        pytest.importorskip("tqdm")

    @pytest.mark.bad_input
    @pytest.mark.parametrize("name", ["none", "closed"])
    def test_a_bar_that_nothing_can_show_is_refused(self, name, monkeypatch):
        monkeypatch.setattr(sys, "stderr", STREAMS[name]())
        with pytest.raises(ValueError, match=r"needs standard error to write to.*Leave progress"):
            fit(progress=True)

    def test_a_stream_without_isatty_shows_a_bar_on_request(self, monkeypatch):
        stream = Bare()
        monkeypatch.setattr(sys, "stderr", stream)
        fit(progress=True)
        assert "5/5" in "".join(stream.written)

    @pytest.mark.parametrize("progress", [None, True])
    def test_a_stream_that_is_closed_meanwhile_does_not_end_the_run(self, progress):
        def close(state, metrics):
            del state
            if metrics["epoch"] == 1:
                stream.close()

        with contextlib.redirect_stderr(Terminal()) as stream:
            result = fit(progress=progress, on_epoch=close)
        assert result.stopped_by == "epochs"
        assert len(result.history["epoch"]) == 5

    def test_a_terminal_that_is_gone_meanwhile_does_not_end_the_run(self):
        class Gone(Terminal):
            def write(self, text):
                if self.tell() > 100:
                    raise BrokenPipeError(32, "Broken pipe")
                return super().write(text)

        with contextlib.redirect_stderr(Gone()) as stream:
            assert fit(epochs=9).stopped_by == "epochs"
        assert stream.tell() > 100
