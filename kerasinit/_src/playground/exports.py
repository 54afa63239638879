"""What a run can be taken away as: numbers, a script, a picture, a page that replays it."""

import base64
import csv
import io
from collections.abc import Callable
from typing import Any

from kerasinit._src.playground.keras_code import script
from kerasinit._src.playground.picture import picture
from kerasinit._src.playground.replays import replay_page
from kerasinit._src.playground.settings import form
from kerasinit._src.playground.two_networks import TwoNetworks
from kerasinit._src.reports.figures import rendered

File = dict[str, str]
Messages = list[dict[str, Any]]


def _numbers(two: TwoNetworks, messages: Messages) -> File:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(two.columns)
    # As Python writes them: the digits that give the same bits back.
    writer.writerows([int(row[0]), *row[1:].tolist()] for row in two.rows)
    return {"name": "playground.csv", "type": "text/csv", "text": buffer.getvalue()}


def _script(two: TwoNetworks, messages: Messages) -> File:
    text = script(two.settings, max(two.step, 1))
    return {"name": "playground.py", "type": "text/x-python", "text": text}


def _svg(two: TwoNetworks, messages: Messages) -> File:
    text = rendered(picture(two), "svg").decode()
    return {"name": "playground.svg", "type": "image/svg+xml", "text": text}


def _png(two: TwoNetworks, messages: Messages) -> File:
    content = base64.b64encode(rendered(picture(two), "png")).decode()
    return {"name": "playground.png", "type": "image/png", "base64": content}


def _page(two: TwoNetworks, messages: Messages) -> File:
    runs = [{"label": "this run", "messages": messages}]
    text = replay_page({"lesson": None, "form": form(), "runs": runs})
    return {"name": "playground.html", "type": "text/html", "text": text}


KINDS: dict[str, Callable[[TwoNetworks, Messages], File]] = {
    "csv": _numbers,
    "html": _page,
    "png": _png,
    "script": _script,
    "svg": _svg,
}
"""A function of the networks and the recorded messages for each kind of export.

It returns a name, a type, and text or base64.
"""
