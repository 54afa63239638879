"""Build the site into a folder and check it: ``python -m docs.build [FOLDER]``.

The folder is ``build/site`` by default. Warnings are errors. Then every page is read again: each
link and anchor within the site must lead somewhere, nothing may be loaded from another server, and
the search must find what people ask for. Needs ``pip install -e '.[docs]'`` and no network.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

from sphinx.cmd.build import build_main
from sphinx.search.en import SearchEnglish

from docs import check
from docs.extensions import public_names

DOCS = Path(__file__).parent
SEARCHED = (
    "Kaiming", "MSRA", "Xavier", "vanishing gradients", "exploding", "dead units", "tfmot",
    "mask", "LSUV", "rewinding", "IMP", "int8",
)  # fmt: skip
"""What people type into the search, each of which must have a result."""


def build(folder: Path, fresh: bool = False) -> int:
    """Build the site, check its links, and return an exit code."""
    began = time.perf_counter()
    options = ["--fail-on-warning", "--keep-going", "--jobs", "auto", "--quiet", "--write-all"]
    state = folder.with_name(f"{folder.name}-state")
    options += ["--doctree-dir", str(state)]
    if fresh:
        # What notebooks print is kept as long as their code is the same. Of a folder that holds
        # something else than a site nothing is removed.
        built = [folder] if (folder / "searchindex.js").is_file() else []
        for old in (state, DOCS.parent / "build" / "notebooks", *built):
            shutil.rmtree(old, ignore_errors=True)
    # Sphinx would keep those whose source is older, though other names link to them now.
    shutil.rmtree(folder / "_modules", ignore_errors=True)
    code = build_main([*options, "--builder", "html", str(DOCS), str(folder)])
    if code:
        return code
    stem = SearchEnglish({}).stem
    faults = check.faults(folder) + check.unfound(folder, SEARCHED, stem)
    faults += check.undocumented(folder, public_names.entries())
    print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
    count = len(list(folder.rglob("*.html")))
    print(f"{count} pages in {folder}, {time.perf_counter() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m docs.build", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DOCS.parent / "build" / "site")
    parser.add_argument(
        "--fresh", action="store_true", help="read every page and run every notebook again"
    )
    given = parser.parse_args()
    sys.exit(build(given.folder.resolve(), given.fresh))
