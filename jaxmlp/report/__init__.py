"""A page that shows a recorded run from inside: one file of HTML, in English or Spanish.

In reading order: `words` (its texts), `row_sample` (of what the caller hands over), `encoding`
(arrays and settings as JSON), `records` (which epochs), `measures` (numbers by epoch), `regions`
(of answers in a plane), `charts` (what Bokeh's figures share), `plane_figure`, `figures`,
`raw_arrays`, `layout` (one file of them and of `page/`, whose scripts compute and draw),
`reports`.
"""

from .reports import Report, write_html

__all__ = ["Report", "write_html"]
