"""How a browser shows a page of kerasinit: pictures, width, errors, requests.

    kerasinit lottery report RUN --html page.html   # or: kerasinit compare, kerasinit diagnose
    python tests/benchmarks/browser.py page.html [--screenshots FOLDER]

Opens the page in headless Chromium, light and dark, as wide as a desk and as a telephone
and on paper. Asks that every picture is shown, that nothing is requested, that there is
no message in the console, and that the page never has to be scrolled sideways. Exits with
the number of findings. Needs ``pip install playwright`` and a Chromium on the path.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = (1200, 400)
SHOWN = """() => [...document.querySelectorAll('img, svg')].map(picture => {
    const box = picture.getBoundingClientRect();
    const loaded = picture.tagName !== 'IMG' || (picture.complete && picture.naturalWidth > 0);
    const named = picture.getAttribute('alt') || picture.querySelector('title')?.textContent;
    const fits = box.left >= 0 && box.right <= innerWidth;
    const drawn = picture.tagName !== 'svg' || picture.querySelectorAll('path').length > 3;
    return {shown: loaded && drawn && fits && box.width > 50 && box.height > 5, named: !!named};
})"""
TOO_WIDE = "() => Math.max(0, document.documentElement.scrollWidth - innerWidth)"
# Two elements of one name would leave the clips and markers of a picture to chance.
TWICE = """() => {
    const names = [...document.querySelectorAll('[id]')].map(element => element.id);
    return names.length - new Set(names).size;
}"""
BROKEN = r"""() => [...document.querySelectorAll('svg *')].flatMap(part =>
    [...part.attributes].flatMap(a => [...a.value.matchAll(/url\(#([^)]+)\)|^#(.+)$/g)])
        .map(match => match[1] || match[2])).filter(name => !document.getElementById(name)
            && !/^[0-9a-f]{6}$/.test(name)).length"""


def findings(page: Page) -> list[str]:
    """Return what is wrong with a page as it is shown now."""
    pictures = page.evaluate(SHOWN)
    found = [f"{sum(not p[what] for p in pictures)} pictures not {what}" for what in pictures[0]]
    found += [
        f"{page.evaluate(script)} {what}"
        for script, what in (
            (TOO_WIDE, "pixels wider than the window"),
            (TWICE, "names of elements are there twice"),
            (BROKEN, "references lead nowhere"),
        )
    ]
    return [what for what in found if not what.startswith("0 ")]


def main() -> int:
    """Print what was found; return how much of it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    wrong = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        for scheme in ("light", "dark"):
            for width in WIDTHS:
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                address = options.page.resolve().as_uri()
                heard: list[str] = []
                page.on("console", lambda message, heard=heard: heard.append(message.text))
                page.on("pageerror", lambda error, heard=heard: heard.append(str(error)))
                page.on(
                    "request",
                    lambda request, heard=heard, address=address: (
                        heard.append(f"requests {request.url[:80]}")
                        if request.url != address and not request.url.startswith("data:")
                        else None
                    ),
                )
                page.goto(address)
                found = findings(page) + heard
                number = page.locator("img, svg").count()
                print(f"{scheme}, {width} px: {number} pictures; {'; '.join(found) or 'good'}")
                wrong += len(found)
                if options.screenshots:
                    options.screenshots.mkdir(parents=True, exist_ok=True)
                    shot = options.screenshots / f"{scheme}-{width}.png"
                    page.screenshot(path=shot, full_page=True)
                page.close()
        if options.screenshots:
            page = browser.new_page()
            page.goto(options.page.resolve().as_uri())
            page.pdf(path=options.screenshots / "paper.pdf", format="A4", print_background=True)
        browser.close()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
