"""A recorded session as one self-contained HTML file, which needs no server and no network."""

import base64
import gzip
import json
from typing import Any

from kerasinit._src.playground import page_files


def replay_page(recorded: dict[str, Any]) -> str:
    """Return the page that replays what was recorded.

    It is the page of the playground itself, with its modules as ``data:`` addresses and the
    recorded messages in the place of the server. It loads nothing and opens from a disk.

    Args:
        recorded: ``{"lesson": ... or None, "form": ..., "runs": [{"label": ..., "messages":
            [...]}, ...]}``, the messages as a session sends them. Run 0 is shown first; with a
            lesson, the others are its variants to try.

    Raises:
        ValueError: If there is no run, or a number is not finite (JSON has no word for it).
    """
    if not recorded.get("runs"):
        raise ValueError("Expected at least one recorded run; got none.")
    words = json.dumps(recorded, allow_nan=False, separators=(",", ":"))
    # A tenth of the size; and base64 has no letter that could end the element.
    packed = base64.b64encode(gzip.compress(words.encode(), mtime=0)).decode()
    imports = page_files.import_map(
        {name: _data_address(text) for name, text in page_files.modules().items()}
    )
    entry = f'import "{page_files.ENTRY}";'
    files = page_files.static_files()
    style = "\n".join(files[name].content.decode() for name in page_files.STYLES)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {page_files.source_of(imports)} {page_files.source_of(entry)} data:",
            f"style-src {page_files.source_of(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    licence = files["uplot.txt"].content.decode().strip()
    return page_files.assembled(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<!-- Contains uPlot:\n\n{licence}\n-->\n<style>{style}</style>",
        f'<script type="application/gzip" id="replay">{packed}</script>\n'
        f'<script type="importmap">{imports}</script>\n<script type="module">{entry}</script>',
    )


def _data_address(text: str) -> str:
    encoded = base64.b64encode(text.encode()).decode()
    return f"data:text/javascript;charset=utf-8;base64,{encoded}"
