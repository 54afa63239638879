"""Where the documentation explains an error: the end of its message.

The messages of likely mistakes end in a section of ``docs/troubleshooting.md``. Installed releases
link to the page of the current one, so an anchor is never renamed or removed.
"""

from typing import Literal

# address: written by python -m docs.address
SITE = ""
# /address

Anchor = Literal[
    "missing-extra",
    "missing-tensorflow",
    "missing-tf-keras",
    "tensorflow-backend",
    "unbuilt-model",
    "uncompiled-model",
    "subclassed-model",
    "unknown-initializer",
    "unmatched-rule",
    "fans-of-a-kernel",
    "saved-variable",
    "arrays-expected",
    "label-count",
    "pruning-callback",
    "not-pruned",
    "no-pruning-rule",
    "nothing-to-prune",
    "sparsity-range",
    "masks-do-not-fit",
    "shrinking-target",
    "importance-data",
    "unknown-data-set",
    "run-settings",
    "model-function",
    "csv-refused",
]


def see(anchor: Anchor) -> str:
    """Return the last sentence of a message, which names the section that explains it.

    Nothing follows the anchor, not even a full stop, so that terminals make the address a link.
    As long as the site has no address, the sentence names the page's source.
    """
    page = f"{SITE}troubleshooting.html" if SITE else "the documentation, docs/troubleshooting.md"
    return f"See {page}#{anchor}"
