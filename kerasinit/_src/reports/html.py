"""HTML elements with automatic escaping, and the document of all pages."""

import html
from collections.abc import Iterable, Sequence
from importlib import resources

# Pages are self-contained: they may not load anything.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Markup(str):
    """Text that is HTML; all other text is escaped by `element`."""

    __slots__ = ()


def element(tag: str, /, *children: object, **attributes: object) -> Markup:
    """Return an HTML element; ``_`` in attribute names stands for ``-``, or at the end for nothing.

    Example:
    >>> element("p", "1 < 2", element("br"), class_="note", aria_label='"quoted"')
    '<p class="note" aria-label="&quot;quoted&quot;">1 &lt; 2<br></p>'
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    end = "" if tag in ("br", "img", "link", "meta") else f"</{tag}>"
    return Markup(f"<{tag}{pairs}>{joined(*children)}{end}")


def joined(*children: object) -> Markup:
    """Concatenate children: `Markup` unchanged, everything else escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child)) for child in children
        )
    )


def grid(
    heads: Iterable[object], lines: Iterable[Sequence[object]], label: str, *, words: bool = False
) -> Markup:
    """Return a table with row heads in the first column, scrollable if it is too wide.

    The label is its caption. Cells of ``words`` are left-aligned and wrap.
    """
    return element(
        "div",
        element(
            "table",
            element("caption", label),
            element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
            element(
                "tbody",
                *(
                    element(
                        "tr",
                        element("th", line[0], scope="row"),
                        *(element("td", cell) for cell in line[1:]),
                    )
                    for line in lines
                ),
            ),
            **({"class_": "words"} if words else {}),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def document(title: str, *content: object) -> str:
    """Return a self-contained HTML page: no network, no other files, no scripts."""
    style = resources.files("kerasinit._src.reports").joinpath("page.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # Not by `element`, which would escape the quotes of the policy.
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(style)),
    )
    body = element("body", element("main", element("h1", title), *content))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
