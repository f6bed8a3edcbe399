"""Turns what Sphinx cannot translate in Markdown into Spanish, and warns of what is left English.

Sphinx hands each translation back to the parser. There a formula is wrapped as reStructuredText
would have it, and a title such as "4. Losses" is read as a list: both are put in place here.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import init
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.i18n import docname_to_domain
from sphinx.util.nodes import extract_messages

_LOGGER = logging.getLogger(__name__)


class TranslateFirst(SphinxTransform):
    """Translates formulas and numbered titles before Sphinx looks at them."""

    default_priority = 19  # Sphinx's is 20

    def apply(self, **_kwargs: Any) -> None:
        """Puts their translations in place, and marks them as done."""
        domain = docname_to_domain(self.env.docname, self.config.gettext_compact)
        folders = [self.env.srcdir / folder for folder in self.config.locale_dirs]
        catalog, found = init(folders, self.config.language, domain)
        if not found:
            return
        for node, message in list(extract_messages(self.document)):
            is_numbered = isinstance(node, nodes.title) and re.match(r"\d+\. [^`$*_]+$", message)
            if not (is_numbered or isinstance(node, nodes.math_block)):
                continue
            translated = catalog.gettext(message)
            if translated != message or message in getattr(catalog, "_catalog", {}):
                node.children = []
                node += nodes.Text(translated)
                node["translatable"] = False


def warn_of_english(_app: Sphinx, doctree: nodes.document) -> None:
    """Warns of every message that is shown untranslated."""
    for node in doctree.findall(nodes.Element):
        if node.get("translated") is False:
            _LOGGER.warning("Shown in English: %r", node.astext()[:80], location=node)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects them."""
    app.add_transform(TranslateFirst)
    app.connect("doctree-read", warn_of_english)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
