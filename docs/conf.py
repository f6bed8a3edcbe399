"""Turns the pages of this folder, the docstrings and the examples into the site, by Sphinx.

`python3 run.py docs/build.py` builds it in both languages and checks it. With the tag `es` it is
the Spanish half: the course, and a home page of its own; all else is English.
"""

import sys
import typing
from pathlib import Path

# Before jaxtyping is imported: shapes in signatures read `Float[Array, "rows features"]`.
typing.GENERATING_DOCUMENTATION = "sphinx"  # pyright: ignore[reportAttributeAccessIssue]

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "extensions"))

import example_pages  # noqa: E402  # pyright: ignore[reportMissingImports]  # docs/extensions

import jaxmlp  # noqa: E402

spanish = tags.has("es")  # pyright: ignore[reportUndefinedVariable]  # Sphinx's

project = "jaxmlp"
author = "The jaxmlp authors"
project_copyright = author
version = release = jaxmlp.__version__
language = "es" if spanish else "en"

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.intersphinx",
    "mathml",
    "links",
]
if spanish:
    extensions += ["translation"]
else:
    extensions += [
        *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"),
        *("names", "sphinx_llms_txt"),
    ]
exclude_patterns = ["extensions", "locales", "_templates", "index.es.md", "gallery/*.py"]
exclude_patterns += ["gallery/*.ipynb", "gallery/*.zip", "gallery/README.rst"]
if spanish:
    include_patterns = ["index.md", "course/**"]
nitpicky = True
# Without other projects' inventories only our own names are links, and those are checked.
nitpick_ignore_regex = [("py:.*", r"(?!jaxmlp\b).*")]
default_role = "py:obj"
suppress_warnings = ["config.cache"]  # functions in the gallery's settings cannot be pickled

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "output" / "course_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True

locale_dirs = ["locales"]
gettext_compact = False
gettext_uuid = False

autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# What the Spanish pages name of the reference and of other pages is in the English half.
english = ROOT / "output" / "site" / "objects.inv"
intersphinx_mapping = {"english": ("..", str(english))} if spanish else {}

sphinx_gallery_conf = example_pages.settings(ROOT)

llms_txt_title = "jaxmlp"
llms_txt_summary = (
    "Multilayer perceptrons for JAX as pure functions: parameters are pytrees, settings are "
    "frozen, a whole fit is one compiled program, and many networks train at once."
)
llms_txt_uri_template = "{docname}.html"
llms_txt_exclude = ["search", "genindex"]

html_theme = "pydata_sphinx_theme"
html_title = "jaxmlp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_show_sphinx = False
html_show_sourcelink = False
# Summaries are fetched, which browsers refuse of files on the disk.
html_show_search_summary = False
html_theme_options = {
    "logo": {"text": "jaxmlp"},
    "navbar_end": ["language", "theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "install": [], "changelog": []}
# The Spanish half is in a folder of the English one, page by page under the same names.
html_context = {"in_spanish": spanish, "default_mode": "auto"}
