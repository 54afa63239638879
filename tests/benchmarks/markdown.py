"""Tables as the benchmarks print them for the documentation."""

from collections.abc import Iterable, Sequence


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table; all columns but the first are numbers."""
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))
