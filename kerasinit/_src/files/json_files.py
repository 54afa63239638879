"""JSON from files, read with limits: what is larger or deeper than we write is refused.

Every error names the file. What a file nests too deeply would end the process's own stack,
here or where the content is used, so it is no more read than what is too large.
"""

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 2**20
MOST_DEPTH = 100
OF_A_MODEL = 500
"""How deep the description of a model may be nested: models lie in models."""


def read(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Raises:
        ValueError: If it is too large, nested too deeply, or holds no object; the message
            names the file.
        FileNotFoundError: If there is no such file.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"{path} is damaged: it has {size} bytes; at most {most_bytes} are read.")
    content = parse(path.read_bytes(), str(path), most_bytes)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds {type(content).__name__}, not an object.")
    return content


def parse(
    text: bytes | str, what: str, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH
) -> Any:
    """Return what JSON says, if it is neither too large nor nested too deeply.

    Args:
        text: The JSON; bytes are UTF-8.
        what: What errors call it.
        most_bytes: More is refused.
        most_depth: How deep lists and objects may lie in each other.

    Raises:
        ValueError: If it is no such JSON.

    Example:
    >>> parse('{"a": [1]}', "a.json")
    {'a': [1]}
    >>> parse("[" * 1000, "a.json")
    Traceback (most recent call last):
    ...
    ValueError: a.json is damaged: it is nested more than 100 deep.
    """
    if len(text) > most_bytes:
        raise ValueError(
            f"{what} is damaged: it has {len(text)} bytes; at most {most_bytes} are read."
        )
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(f"{what} is damaged: it is nested more than {most_depth} deep.") from None
    # What is no JSON, no UTF-8, or a number of too many digits: each is a ValueError.
    except ValueError as error:
        raise ValueError(f"{what} is damaged: {error}.") from error
    if _depth_exceeds(content, most_depth):
        raise ValueError(f"{what} is damaged: it is nested more than {most_depth} deep.")
    return content


def _depth_exceeds(content: Any, most: int) -> bool:
    """Return whether lists and objects lie in each other more than ``most`` deep."""
    level, depth = [content], 0
    while level:
        parts = [part for part in level if isinstance(part, dict | list)]
        depth += bool(parts)
        if depth > most:
            return True
        level = [
            inside
            for part in parts
            for inside in (part.values() if isinstance(part, dict) else part)
        ]
    return False
