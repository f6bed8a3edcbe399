"""Tests of the page as a file: what it holds, that it asks for nothing, that its bytes stay."""

import base64
import html
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import MOONS, moons, moons_report, moons_run, noisy_params, record

import jaxmlp
from jaxmlp import losses, report
from jaxmlp.report.encoding import as_json, pack
from jaxmlp.report.words import LANGUAGES, texts

PAGE = Path(report.__file__).parent / "page"


def part(page, name):
    """Returns the JSON of a page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def test_the_report_of_two_moons_is_below_two_and_a_half_megabytes():
    assert len(moons_report().html.encode()) < 2_500_000


def test_the_same_run_gives_the_same_bytes():
    assert moons_report().html == moons_report().html


def test_another_process_gives_the_same_bytes():
    script = (
        "import sys; sys.path[:0] = ['tests/report', 'tests']; import conftest, hashlib; "
        "from runs import moons_report; "
        "print(hashlib.sha256(moons_report().html.encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_nothing_is_loaded_from_anywhere():
    page = moons_report().html
    # Bokeh's own script loads nothing that it is not told to; a browser's test sees to that.
    ours = page.replace(re.search(r"<script>(.*?)</script>", page, re.S)[1], "")
    assert re.findall(r"""\b(?:src|href)\s*=\s*["'](?!data:)""", ours) == []
    addresses = r"https?://(?!www\.w3\.org/2000/svg)"
    asking = rf"@import|\bimport\(|url\(|fetch\(|XMLHttpRequest|{addresses}"
    assert re.findall(asking, ours) == []


def test_only_rows_of_the_caller_are_held_and_no_more_than_allowed():
    x = moons()[0]
    run = part(moons_report(max_rows=7).html, "run")
    held = np.frombuffer(base64.b64decode(run["x"]["bytes"]), "<f4").reshape(7, 2)
    assert {tuple(row) for row in held} <= {tuple(row) for row in x}
    assert len(run["plane"]["points"]) == 7


def test_each_language_has_every_text():
    both = [texts(language) for language in LANGUAGES]
    assert both[0].keys() == both[1].keys()
    assert all(text.strip() for told in both for text in told.values())
    same = {key for key in both[0] if both[0][key] == both[1][key]}
    assert same == {"softmax"}


def test_no_text_is_without_a_use():
    sources = [*PAGE.glob("*.js"), *PAGE.glob("*.html"), *PAGE.parent.glob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    composed = {"plane_principal_standardised", "plane_principal_given", "norm_layer", "norm_rms"}
    for key in texts("en").keys() - composed:
        assert re.search(rf"""words\.{key}\b|\${key}\b|["']{key}["']""", source), key


def test_spanish_has_the_terms_of_the_lesson():
    page = moons_report(language="es").html
    for term in ("entrada neta z", "activación a", "capa oculta", "propagación hacia atrás"):
        assert term in page
    assert '<html lang="es">' in page


def test_scripts_and_styles_are_under_300_lines():
    for path in PAGE.iterdir():
        if path.suffix != ".json":
            assert len(path.read_text(encoding="utf-8").splitlines()) < 300


def test_the_file_is_the_report(tmp_path):
    recorder, config, x, y = moons_run()
    criterion = losses.softmax_cross_entropy
    report.write_html(tmp_path / "a.html", recorder, config, x, y, criterion=criterion)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == moons_report().html


def test_a_file_takes_the_arguments_of_a_report_and_tells_of_each():
    of_report, of_file = map(inspect.signature, (report.Report, report.write_html))
    path, *others = of_file.parameters.values()
    assert (path.name, others) == ("path", list(of_report.parameters.values()))
    told = re.findall(r"^    (\w+): ", inspect.getdoc(report.write_html), re.MULTILINE)
    assert told == [*of_file.parameters, "OSError", "ImportError", "TypeError", "ValueError"]


def test_the_frame_of_a_notebook_holds_the_page():
    made = moons_report()
    frame = made._repr_html_()
    assert html.unescape(re.search(r'srcdoc="(.*?)"', frame, re.S)[1]) == made.html


def test_settings_versions_and_seed_are_told():
    told = dict(part(moons_report().html, "run")["settings"])
    assert jaxmlp.MLPConfig.from_json(told["MLPConfig"]) == MOONS
    assert told["random key of the run"] == "0 1"
    assert {"jaxmlp", "jax", "optax", "numpy", "bokeh", "Python"} <= told.keys()


def test_epochs_are_left_out_to_keep_the_file_small_and_the_page_says_so():
    recorder, _, *_ = moons_run()
    size = sum(
        leaf.nbytes
        for dense in (*recorder.records[0].params.hidden, recorder.records[0].params.output)
        for leaf in dense[:2]
    )
    run = part(moons_report(max_bytes=4 * size).html, "run")
    assert len(run["epochs"]) == 4
    assert (run["epochs"][0], run["epochs"][-1]) == (0, 200)
    left_out = dict(run["settings"])["recorded epochs left out to keep the file small"]
    assert int(left_out) == len(recorder.records) - 4


def test_json_cannot_end_its_element():
    text = as_json({"name": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!-- & \u2028"}


@pytest.mark.parametrize(("values", "bits"), [([0.5, 2.0], 32), ([0.1, 2.0], 64)])
def test_numbers_are_packed_exactly(values, bits):
    packed = pack(values)
    read = np.frombuffer(base64.b64decode(packed["bytes"]), f"<f{bits // 8}")
    assert packed["bits"] == bits
    assert read.tolist() == values


def test_without_bokeh_the_error_names_the_extra():
    script = "import sys; sys.modules['bokeh'] = None; import jaxmlp.report"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "jaxmlp.report needs bokeh" in ran.stderr
    assert "pip install 'jaxmlp[report]'" in ran.stderr


CRITERION = {"criterion": losses.softmax_cross_entropy}
X, Y = moons(20)
OTHER = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=2)
REFUSED = [
    ({"recorder": None}, TypeError, "recorder must be a jaxmlp.Recorder"),
    ({"recorder": jaxmlp.Recorder()}, ValueError, "recorder holds no epochs"),
    ({"config": 3}, TypeError, "config must be a jaxmlp.MLPConfig"),
    ({"config": OTHER}, ValueError, "params must have kernels of shapes"),
    ({"x": X[:, :1]}, ValueError, "x must have rows of 2 features"),
    ({"x": X.astype(str)}, TypeError, "x must be numbers"),
    ({"x": np.where(X[3] == X, np.nan, X)}, ValueError, "x must be finite; row 3 is not"),
    (
        {"y": Y.astype(str)},
        TypeError,
        "y must be numbers, classes as integers from 0; got an array of",
    ),
    ({"y": Y[:5]}, ValueError, "y must have a target for each row of x, 20"),
    ({"y": Y + 1}, ValueError, "y must be classes from 0 to 1"),
    ({"y": np.full((20, 2), np.nan)}, ValueError, "y must be finite"),
    ({"criterion": 3}, TypeError, "criterion must be"),
    ({"language": "fr"}, ValueError, "language must be"),
    ({"feature_names": ["a"]}, ValueError, "feature_names must be 2 texts; got 1"),
    ({"feature_names": "ab"}, TypeError, "feature_names must be 2 texts"),
    ({"class_names": ["a"]}, ValueError, "class_names must be 2 texts; got 1"),
    ({"class_names": ["a", "b"], "y": X}, ValueError, "class_names name integer targets"),
    ({"features": "ab"}, TypeError, "features must be two numbers or names of features"),
    ({"features": (0, 2)}, ValueError, "features must be an int .* below 2"),
    ({"features": (1, 1)}, ValueError, "features must be two different ones"),
    ({"max_rows": 0}, ValueError, "max_rows must be"),
    ({"max_bytes": 10}, ValueError, "max_bytes must hold 2 epochs"),
    ({"title": 3}, TypeError, "title must be a text or None"),
]


@pytest.mark.bad_input
@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_bad_arguments_are_refused(arguments, error, message):
    recorder = record(noisy_params(MOONS, 0), noisy_params(MOONS, 1))
    given = {"recorder": recorder, "config": MOONS, "x": X, "y": Y} | CRITERION | arguments
    with pytest.raises(error, match=message):
        report.Report(**given)


def test_parameters_that_are_no_network_s_are_refused():
    recorder = record({"a": np.ones(2, np.float32)})
    with pytest.raises(ValueError, match=r"recorder must hold the jaxmlp\.Params of the config"):
        report.Report(recorder, MOONS, X, Y, **CRITERION)


@pytest.mark.bad_input
def test_a_path_of_a_wrong_type_is_refused():
    with pytest.raises(TypeError, match="path must be"):
        report.write_html(3, *moons_run(), **CRITERION)


@pytest.mark.bad_input
def test_an_argument_that_there_is_not_is_named():
    with pytest.raises(TypeError, match="write_html has no setting 'colour'"):
        report.write_html("report.html", *moons_run(), **CRITERION, colour="red")
    with pytest.raises(TypeError, match="Report has no setting 'colour'"):
        report.Report(*moons_run(), **CRITERION, colour="red")
