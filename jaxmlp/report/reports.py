"""Turns a recorded run and rows into one page of HTML that needs no network: `write_html`."""

import functools
import html
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias

import jax
import numpy as np
import optax

from ..checks import (
    __version__,
    require_bool,
    require_function,
    require_int,
    require_name,
    require_path,
    suggests_settings,
)
from ..fitting import FitResult
from ..inspection import Plane, Record, Recorder
from ..losses.loss_function import Criterion, make_loss
from ..network import MLPConfig, require_config
from .charts import BOKEH_VERSION, as_items
from .encoding import describe_network, pack, pack_parameters
from .figures import draw_figures
from .layout import make_page
from .measures import measure
from .plane_figure import has_one_scale
from .raw_arrays import show_arrays
from .records import Curves, take_curves, take_records
from .regions import choose_plane, draw_plane
from .row_sample import Rows, take_rows
from .words import LANGUAGES, texts

Language: TypeAlias = Literal["en", "es"]
Arguments = ParamSpec("Arguments")


class Report:
    """A page that shows a run from inside; in a notebook it shows itself.

    In it: the network with every weight and bias at each recorded epoch, a chosen row through it
    with its numbers, the chain rule of a chosen weight, gradients and net inputs by layer, the
    regions of its answers, its errors, and the settings. It holds the parameters and those rows
    that are given here, and asks nothing of any server.

    Args:
        recorder: What kept the run, after it.
        config: Its network.
        x: Rows to show, (rows, in_features); the page holds a sample of them, so leave out those
            that its readers may not see.
        y: Their targets as the criterion takes them; integers of shape (rows,) are classes.
        criterion: `(outputs, targets) -> loss per row`, that of the run, as for `make_loss`.
        language: "en" or "es".
        feature_names: A name for each feature; by default x1, x2, ...
        class_names: A name for each class; by default their numbers.
        features: Numbers or names of two features, whose plane is drawn, the others being at their
            medians. By default the plane of both, or of the first two principal components of the
            inputs, standardised where the network does so.
        result: What `fit` returned: the page has the epoch of its parameters, too, and opens there,
            which matters where a best epoch was chosen or parameters were averaged. By default it
            opens at the last epoch.
        max_rows: Most rows that the page holds, at least 1.
        max_bytes: Most bytes of parameters that the page holds; recorded epochs are left out until
            the rest fit, as the page then says.
        raw_arrays: Whether all parameters stand below, folded away, as arrays whose numbers unfold
            to pictures: those of the epoch at which the page opens. This needs treescope.
        title: What stands above; by default a text that fits any run.

    Raises:
        ImportError: `raw_arrays` are asked for, and treescope is not installed.
        TypeError: An argument has the wrong type.
        ValueError: The recorder is empty or of another network; rows, names or features do not
            fit the config; or not even two epochs fit into `max_bytes`.

    Example:
        >>> import jax, jaxmlp, optax
        >>> config = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=2)
        >>> x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
        >>> y = (x[:, 0] > 0).astype(np.int32)
        >>> recorder = jaxmlp.Recorder()
        >>> result = jaxmlp.fit(
        ...     jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy),
        ...     optax.adam(0.1),
        ...     jaxmlp.init_params(config, key=jax.random.key(0)),
        ...     jaxmlp.DataLoader(x, y, batch_size=10),
        ...     epochs=4,
        ...     key=jax.random.key(1),
        ...     on_epoch=recorder,
        ... )
        >>> report = Report(
        ...     recorder, config, x, y, criterion=jaxmlp.losses.softmax_cross_entropy)
        >>> "https://" in report.html.split("<main")[1]
        False
    """

    @suggests_settings("Report")
    def __init__(
        self,
        recorder: Recorder,
        config: MLPConfig,
        x: Any,
        y: Any,
        *,
        criterion: Criterion,
        language: Language = "en",
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        features: Sequence[int | str] | None = None,
        result: FitResult | None = None,
        max_rows: int = 100,
        max_bytes: int = 12_000_000,
        raw_arrays: bool = False,
        title: str | None = None,
    ) -> None:
        require_config(config)
        require_bool("raw_arrays", raw_arrays)
        require_name("language", language, LANGUAGES)
        require_int("max_rows", max_rows, 1, None)
        require_int("max_bytes", max_bytes, 1, None)
        form, remedy = "(outputs, targets) -> loss per row", "such as jaxmlp.losses.squared_error"
        require_function("criterion", criterion, form, remedy, "losses")
        make_loss(config, criterion)
        if title is not None and not isinstance(title, str):
            raise TypeError(f"title must be a text or None; got {title!r}.")
        records, returned = take_records(recorder, result, max_bytes)
        rows = take_rows(
            x, y, config, max_rows=max_rows, feature_names=feature_names, class_names=class_names
        )
        standardization = records[-1].params.standardization
        plane = choose_plane(rows, features, standardization)
        returned_epoch = None if returned is None else records[returned].epoch
        curves = take_curves(recorder.records, result, returned_epoch)
        opened = records[-1 if returned is None else returned]
        arrays = show_arrays(opened.params) if raw_arrays else None
        words = texts(language)
        words["raw_arrays"] += f" {opened.epoch}"
        if arrays is not None:
            words["licence"] += f" {words['licence_arrays']}"
        words["title"] = words["title"] if title is None else title
        if rows.classes is None:
            words["regions_text"] = words["regions_text_numbers"]
        self._html = _build(
            recorder, records, returned, config, rows, criterion, words, plane, curves, arrays
        )

    @property
    def html(self) -> str:
        """The page, the same for the same run."""
        return self._html

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self._html)}" '
            'style="width: 100%; height: 900px; border: 0"></iframe>'
        )


def _to_file(
    build: Callable[Arguments, Report],
) -> Callable[Concatenate[str | Path, Arguments], None]:
    """Returns `write_html`, whose arguments, and what is told of them, are those of a report."""
    told = inspect.signature(build)
    path = inspect.Parameter("path", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str | Path)
    # Python leaves texts out where it is told to.
    text = inspect.getdoc(build) or ""
    sections = re.findall(r"^(Args|Raises):\n(.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    documented = dict(sections)

    def write_html(path: str | Path, *given: Arguments.args, **named: Arguments.kwargs) -> None:
        require_path("path", path)
        Path(path).write_text(build(*given, **named).html, encoding="utf-8")

    write_html.__doc__ = f"""Writes the page of a `Report` to a file that a browser opens off line.

Args:
    path: The file; one of that name is replaced.
{documented.get("Args")}

Raises:
    OSError: The file cannot be written.
{documented.get("Raises")}
"""
    write_html.__qualname__ = "write_html"
    write_html.__signature__ = told.replace(  # pyright: ignore[reportFunctionMemberAccess]
        parameters=[path, *told.parameters.values()], return_annotation=None
    )
    return suggests_settings("write_html")(write_html)


write_html = _to_file(Report)


def _build(
    recorder: Recorder,
    records: Sequence[Record],
    returned: int | None,
    config: MLPConfig,
    rows: Rows,
    criterion: Criterion,
    words: dict[str, str],
    plane: Plane | None,
    curves: Curves,
    arrays: str | None,
) -> str:
    measures = measure(records, config, criterion, rows)
    drawn = None if plane is None else draw_plane(records, config, rows, plane)
    epochs = [record.epoch for record in records]
    figures = draw_figures(measures, curves, drawn, plane, rows, words, epochs)
    statistics = records[-1].params.standardization
    run = {
        "words": words,
        "network": describe_network(config),
        "epochs": epochs,
        "returned": returned,
        "parameters": pack_parameters(records),
        "standardization": None
        if statistics is None
        else {"mean": pack(statistics.mean), "scale": pack(statistics.scale)},
        "x": pack(rows.x[rows.shown]),
        "y": pack(rows.y[rows.shown].reshape(len(rows.shown), -1)),
        "features": rows.features,
        "classes": rows.classes,
        "measures": measures,
        "plane": None
        if plane is None or drawn is None
        else {
            "features": plane.features,
            "share": plane.share,
            "oneScale": has_one_scale(plane),
            "ranges": drawn.get("ranges"),
            "points": drawn["points"],
            "lines": drawn["lines"],
        },
        "settings": _settings(recorder, records, config, rows, criterion, words),
    }
    return make_page(run, as_items(figures), words, arrays)


def _settings(
    recorder: Recorder,
    records: Sequence[Record],
    config: MLPConfig,
    rows: Rows,
    criterion: Criterion,
    words: dict[str, str],
) -> list[tuple[str, str]]:
    base = criterion
    while isinstance(base, functools.partial):
        base = base.func
    key = recorder.key_data
    shown = {record.epoch for record in records}
    left_out = len([record for record in recorder.records if record.epoch not in shown])
    libraries = {"jaxmlp": __version__, "jax": jax.__version__, "optax": optax.__version__}
    libraries |= {"numpy": np.__version__, "bokeh": BOKEH_VERSION}
    settings = [
        ("MLPConfig", config.to_json()),
        ("criterion", getattr(base, "__name__", type(base).__name__)),
        (words["key"], "-" if key is None else " ".join(map(str, key.tolist()))),
        (words["recorded"], ", ".join(str(record.epoch) for record in records)),
        (words["rows_given"], str(rows.given)),
        (words["rows_measured"], str(len(rows.x))),
        (words["rows_shown"], str(len(rows.shown))),
        ("Python", ".".join(map(str, sys.version_info[:3]))),
        *libraries.items(),
    ]
    return settings + ([(words["thinned"], str(left_out))] if left_out else [])
