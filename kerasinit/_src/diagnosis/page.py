"""A diagnosis as one page of HTML that needs nothing else: no network, no other file, no script."""

import base64
import io
from typing import TYPE_CHECKING

from kerasinit._src.diagnosis.plots import figure
from kerasinit._src.reports.html import Markup, element, grid

if TYPE_CHECKING:
    from kerasinit._src.diagnosis.findings import Finding
    from kerasinit._src.diagnosis.report import Diagnosis

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
img { background: white; max-width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
caption { text-align: left; }
th, td { border-bottom: 1px solid #8888; padding: 0.2rem 0.6rem; text-align: right; }
tbody th { font-weight: normal; text-align: left; white-space: nowrap; }
code { overflow-wrap: anywhere; }
"""
_HEADS = ("layer", "mean", "variance", "least", "most", "dead", "flat", "cosine", "rank")
_GRADIENTS = ("|dL/dh|", "|dL/dw|", "update / weight")


def page(diagnosis: "Diagnosis", note: str | None = None) -> str:
    """Return a diagnosis as a page of HTML: the findings, the picture, every layer.

    Args:
        diagnosis: What is to be shown.
        note: A sentence below the title, such as where the examples come from.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    buffer = io.BytesIO()
    figure(diagnosis).savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    picture = base64.b64encode(buffer.getvalue()).decode()
    title = "Will it train? " + (
        "Nothing was found against it"
        if diagnosis.ok
        else ", ".join(finding.kind for finding in diagnosis.findings)
    )
    measured = diagnosis.measured
    lines = []
    for row in diagnosis.layers:
        signal = row.signal
        numbers = (signal.mean, signal.variance, signal.least, signal.most, signal.dead)
        more = (signal.saturated, signal.correlation, signal.rank)
        gradients = (row.gradient, row.weight_gradient, row.update_ratio)
        name = row.title if row.call == 1 else f"{row.title} call {row.call}"
        lines.append([name, *map(_short, (*numbers, *more, *gradients))])
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element(
            "main",
            element("h1", title),
            *([] if note is None else [element("p", note)]),
            *(_finding(finding, len(diagnosis.seeds)) for finding in diagnosis.findings),
            element("h2", "Signal and gradient"),
            element(
                "img",
                src=f"data:image/png;base64,{picture}",
                alt="Mean square of the signal and norm of its gradient, layer by layer",
            ),
            element("h2", "Layers"),
            element("p", f"{measured.examples} examples; gradients of {measured.objective}."),
            *(
                [element("p", f"Not looked at, as quantized: {', '.join(measured.unseen)}.")]
                if measured.unseen
                else []
            ),
            *([element("p", measured.caveat)] if measured.note else []),
            grid([*_HEADS, *_GRADIENTS], lines, "What each layer showed"),
        ),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _finding(finding: "Finding", seeds: int) -> Markup:
    shown = finding.shown(seeds)
    sure = f"confidence {finding.confidence:.0%}{f'; {shown}' if shown else ''}"
    others = f" Also at {', '.join(finding.others)}." if finding.others else ""
    return element(
        "section",
        element("h2", f"{finding.kind} at {finding.layer}"),
        element("p", f"{finding.evidence} ({sure}).{others}"),
        element("p", finding.meaning),
        element("p", element("code", finding.advice)),
    )


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"
