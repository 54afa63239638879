"""Pages of ``sphinx.ext.viewcode`` without their links back to the reference.

Viewcode assumes that all names defined in one file are public in one module. Ours are not, so some
of these links would lead nowhere.
"""

import re
from typing import Any

_BACK = re.compile(r'<a class="viewcode-back"[^>]*>.*?</a>')


def _strip(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if page.startswith("_modules/") and "body" in context:
        context["body"] = _BACK.sub("", context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("html-page-context", _strip)
    return {"parallel_read_safe": True}
