"""Pictures of the playground: one for the documents, or all that should be looked at.

    python tests/benchmarks/playground_pictures.py --docs
    python tests/benchmarks/playground_pictures.py --all FOLDER

Plays lessons in headless Chromium and takes screenshots; with ``--all`` at 400, 1280 and 2560 px in
both themes. Needs ``pip install -e '.[playground,browser]'`` and a Chromium on the path.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, Server, Tab

DOCS = Path(__file__).parents[2] / "docs" / "images" / "playground.png"
SHOWN = "#lesson=he"
"""The lesson of the picture in the documents."""


def played(browser, server, fragment, steps, **how):
    """Return a tab in which some steps were played."""
    tab = Tab(browser, server.origin, **how).open(f"{server.url}{fragment}")
    tab.wait_for_start()
    tab.get("speed").select_option("10")
    tab.get("play").click()
    tab.wait("p.step >= a", steps)
    if tab.state()["state"]["playing"]:
        tab.get("play").click()
    tab.wait("!p.state.playing")
    return tab


def picture_for_docs(browser, server):
    """Take the picture of the documents."""
    size = {"width": 2000, "height": 1150}
    tab = played(browser, server, SHOWN, 150, viewport=size)
    DOCS.parent.mkdir(exist_ok=True)
    tab.page.screenshot(path=DOCS)
    tab.close()


def all_pictures(browser, server, folder):
    """Take pictures of some states in all widths and themes."""
    folder.mkdir(parents=True)
    states = {
        "lesson": "#lesson=he",
        "ticket": "#lesson=ticket",
        "digits": "#data=digits&depth=3",
        "deep": "#data=spirals&depth=50&width=16&normalization=batch",
    }
    for name, fragment in states.items():
        for scheme in ("light", "dark"):
            for width in (400, 1280, 2560):
                size = {"width": width, "height": 900}
                tab = played(browser, server, fragment, 40, viewport=size, color_scheme=scheme)
                tab.page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                tab.close()


def main():
    """Take what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if not options.docs and not options.all:
        parser.error("pass --docs or --all FOLDER")
    server = Server()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            if options.docs:
                picture_for_docs(browser, server)
            if options.all:
                all_pictures(browser, server, options.all)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
