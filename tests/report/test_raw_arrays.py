"""Tests of the arrays by treescope in the page of a run."""

import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from pages import opener
from runs import moons_report, moons_run, noisy_params

import jaxmlp
from jaxmlp import losses, report
from jaxmlp.report.raw_arrays import show_arrays

# Treescope asks whether an array is one, which NumPy 2.5 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")


def test_they_are_there_only_where_they_are_asked_for():
    without, given = moons_report().html, moons_report(raw_arrays=True).html
    assert "treescope_out" not in without
    assert "All parameters as arrays, at epoch 200" in given
    assert "Arrays by treescope, Apache 2.0." in given


def test_they_add_little_and_the_same_bytes_each_time():
    without, *given = (moons_report(raw_arrays=shown).html for shown in (False, True, True))
    assert given[0] == given[1]
    assert len(given[0]) - len(without) < 40_000
    assert len(given[0].encode()) < 2_500_000


def test_they_ask_for_nothing():
    shown = show_arrays(moons_run()[0].records[-1].params)
    assert re.findall(r"https?://|@import|\bimport\(|fetch\(|XMLHttpRequest", shown) == []


def test_large_arrays_are_cut():
    config = jaxmlp.MLPConfig(in_features=2000, hidden_features=(2000,), out_features=2)
    params = jax.tree.map(np.asarray, noisy_params(config, 0))
    # The parameters take 16 MB.
    assert len(show_arrays(params)) < 500_000


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page in")
def test_a_browser_unfolds_them_quietly(tmp_path):
    browser = Browser()
    try:
        with opener(browser, tmp_path) as open_report:
            open_report(moons_report(raw_arrays=True))
            browser.run("document.querySelector('#arrays details').open = true")
            browser.run("document.querySelector('#arrays').scrollIntoView()")
            # treescope draws what is on the screen, in a tree of its own.
            shown = "document.querySelector('#arrays treescope-container')?.shadowRoot?.textContent"
            browser.wait(f"({shown} || '').includes('kernel')")
    finally:
        browser.close()


def test_without_treescope_the_error_names_the_extra():
    script = (
        "import sys; sys.modules['treescope'] = None; "
        "from jaxmlp.report.raw_arrays import show_arrays; show_arrays(None)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "raw_arrays=True needs treescope" in ran.stderr
    assert "pip install 'jaxmlp[report]'" in ran.stderr


@pytest.mark.bad_input
def test_anything_but_true_and_false_is_refused():
    with pytest.raises(TypeError, match="raw_arrays must be True or False; got 'yes'"):
        report.Report(*moons_run(), criterion=losses.softmax_cross_entropy, raw_arrays="yes")
