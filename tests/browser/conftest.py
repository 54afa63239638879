"""A playground and a browser for the tests of this folder, which carry the marker ``browser``."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# A browser that asks nobody for anything.
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]
PROGRAM = "from kerasinit._src.cli import main; main()"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.browser)


class Server:
    """A playground in a process of its own, as its command starts it."""

    def __init__(self, *words):
        command = [sys.executable, "-c", PROGRAM, "playground", "--no-browser", "--port", "0"]
        self.process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line)[0]
        self.origin = self.url.split("/?")[0]

    def children(self):
        """Return the ids of the processes that the server started."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(word) for task in tasks for word in task.read_text().split()]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "The tests of the page need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """A tab, what its console says, and what it asks others for."""

    def __init__(self, browser, origin, script="", **how):
        how = {"viewport": {"width": 1280, "height": 900}} | how
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.page.add_init_script(script)
        self.page.set_default_timeout(60_000)
        self.said, self.outside = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._requested(request.url, origin))

    def _requested(self, url, origin):
        own = (f"{origin}/", origin.replace("http", "ws") + "/", "data:", "blob:")
        if not url.startswith(own):
            self.outside.append(url)

    def open(self, address):
        self.page.goto(address)
        return self

    def get(self, testid):
        return self.page.get_by_test_id(testid)

    def state(self):
        return self.page.evaluate("window.playground")

    def wait(self, condition, argument=None):
        """Wait for a condition of ``p``, what the page shows, and an argument ``a``."""
        script = f"a => {{ const p = window.playground; return p && ({condition}); }}"
        self.page.wait_for_function(script, arg=argument)

    def wait_for_start(self):
        self.wait("p.started && p.rows.length && p.verdict && !p.state.waiting")
        return self.state()

    def close(self):
        self.context.close()
        assert self.said == []
        assert self.outside == []


@pytest.fixture
def open_tab(chromium, server):
    """Return a function that opens the playground, or another address, in a new tab.

    At the end no tab may have said anything in its console, or asked any other machine.
    """
    tabs = []

    def opened(fragment="", address=None, **how):
        tab = Tab(chromium, server.origin, **how)
        tabs.append(tab)
        return tab.open(address or f"{server.url}{fragment}")

    yield opened
    for tab in tabs:
        tab.close()
