"""Settings of Sphinx for these pages; ``python -m docs.build`` builds and checks them."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs import address  # noqa: E402

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Notebooks show their figures only with the backend that their kernel chooses.
os.environ.pop("MPLBACKEND", None)

# Empty as long as there is no public repository; then sources are shown within the site.
repository = address.repository()

project = "kerasinit"
author = "the kerasinit developers"
copyright = "the kerasinit developers"
html_title = "kerasinit"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "docs.extensions.colab_links",
    "docs.extensions.docstrings",
    "docs.extensions.links",
    "docs.extensions.mathml",
    "docs.extensions.source_pages",
    "docs.extensions.written_pages",
    "sphinx.ext.linkcode" if repository else "sphinx.ext.viewcode",
]
exclude_patterns = ["build", "README.md", "**/.ipynb_checkpoints"]
# Every reference must lead somewhere: `docs.extensions.links` knows what lies outside.
nitpicky = True
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# The signature of a data class has the types.
napoleon_attr_annotations = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Reference", "notes_style"), ("Attributes", "params_style")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# Notebooks run when they or their settings have changed; what they print is kept between builds.
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
# TensorFlow's notes on the processor.
nb_output_stderr = "remove"

# Furo loads nothing from other servers, follows the light or dark setting, and fits a phone.
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    # The source of a page that the build writes is in no repository.
    "top_of_page_buttons": [],
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#005f95"},
    "dark_css_variables": {"color-brand-primary": "#6cb6e8", "color-brand-content": "#7cc0ee"},
}
pygments_style = "tango"
pygments_dark_style = "monokai"


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return the address of the source of an object, for ``sphinx.ext.linkcode``."""
    from docs.extensions.written_pages import source_line

    found = source_line(info["module"], info["fullname"]) if domain == "py" else None
    return f"{address.source(found[0], repository)}#L{found[1]}" if found else None
