"""HTML that is escaped by the way it is made, and the one document that all pages are."""

import html
from collections.abc import Iterable, Sequence
from importlib import resources

# A page may load nothing but what is in it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Markup(str):
    """Text that is HTML already; every other text is escaped when it is put into an element."""

    __slots__ = ()


def element(tag: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element of HTML.

    Args:
        tag: Its name, such as ``"p"``.
        *children: `Markup` is taken as it is, everything else is escaped.
        **attributes: Their names; ``_`` stands for ``-``, and one at the end is dropped.

    Example:
    >>> element("p", "1 < 2", element("br"), class_="note", aria_label='"quoted"')
    '<p class="note" aria-label="&quot;quoted&quot;">1 &lt; 2<br></p>'
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    inside = joined(*children)
    end = "" if tag in ("br", "img", "link", "meta") else f"</{tag}>"
    return Markup(f"<{tag}{words}>{inside}{end}")


def joined(*children: object) -> Markup:
    """Return children side by side: `Markup` as it is, everything else escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child)) for child in children
        )
    )


def grid(
    heads: Iterable[object], lines: Iterable[Sequence[object]], label: str, *, words: bool = False
) -> Markup:
    """Return a table that scrolls in a frame of its own where it is too wide.

    Args:
        heads: The columns' heads.
        lines: The cells, line by line; the first of each is the line's head.
        label: What the table shows, for those who hear it.
        words: Whether the cells are words, set from the left and broken into lines.
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
    """Return a page of HTML that needs nothing else: no network, no other file, no script.

    Args:
        title: Its title, which is its first heading, too.
        *content: What is below the title.
    """
    style = resources.files("kerasinit._src.reports").joinpath("page.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # Not by `element`, which would escape the quotes that a policy is read with.
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(style)),
    )
    body = element("body", element("main", element("h1", title), *content))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
