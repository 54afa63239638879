"""Reading of JSON files with limits on their size and depth.

Deep nesting would overflow the stack, here or where the content is used. Every error names the
file.
"""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 2**20
MAX_DEPTH = 100
MAX_MODEL_DEPTH = 500
"""Max depth of the configuration of a model, which may contain models."""


def read(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file; any other content raises a ValueError."""
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{path} is damaged: it has {size} bytes; the limit is {max_bytes}.")
    content = parse(path.read_bytes(), str(path), max_bytes)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it contains {type(content).__name__}, not an object.")
    return content


def parse(
    text: bytes | str, what: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
) -> Any:
    """Return the content of a JSON text within limits; ``what`` is its name in errors."""
    if len(text) > max_bytes:
        raise ValueError(f"{what} is damaged: it has {len(text)} bytes; the limit is {max_bytes}.")
    too_deep = f"{what} is damaged: it is nested more than {max_depth} levels deep."
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    # Not JSON, not UTF-8, or a number with too many digits: all raise a ValueError.
    except ValueError as error:
        raise ValueError(f"{what} is damaged: {error}.") from error
    if _depth_exceeds(content, max_depth):
        raise ValueError(too_deep)
    return content


def _depth_exceeds(content: Any, limit: int) -> bool:
    level, depth = [content], 0
    while level:
        parts = [part for part in level if isinstance(part, dict | list)]
        depth += bool(parts)
        if depth > limit:
            return True
        level = [
            child for part in parts for child in (part.values() if isinstance(part, dict) else part)
        ]
    return False
