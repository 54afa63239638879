"""How much room each dependency of kerasinit takes, as a table.

    python tests/benchmarks/dependency_sizes.py

Prints a line for each installed requirement of kerasinit and of its extras: its version and the
megabytes of its files, without those of what it requires itself.
"""

import os
import re
from importlib import metadata


def requirements() -> dict[str, str]:
    """Return the extra of each requirement by its name; an empty one for what is always needed."""
    found: dict[str, str] = {}
    for line in metadata.requires("kerasinit") or ():
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name != "kerasinit":
            found.setdefault(name, extra[1] if extra else "")
    return found


def megabytes(distribution: metadata.Distribution) -> float:
    """Return the size of a package's installed files."""
    paths = [str(distribution.locate_file(file)) for file in distribution.files or ()]
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path)) / 1e6


def main() -> None:
    """Print the table."""
    print(f"{'package':30} {'version':>10} {'MB':>7}  extra")
    for name, extra in requirements().items():
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        print(
            f"{name:30} {distribution.version:>10} {megabytes(distribution):7.1f}  {extra}".rstrip()
        )


if __name__ == "__main__":
    main()
