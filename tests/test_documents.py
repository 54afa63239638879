"""What the pages in docs/ show is so: their code runs, and prints what stands below it."""

import doctest
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from docs.extensions import written_pages
from kerasinit import lottery, pruning

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(
    r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```$"
    r"(?:\n\n(?P=indent)```text\n(?P<printed>.*?)^(?P=indent)```$)?",
    re.DOTALL | re.MULTILINE,
)
# The notebooks run when the site is built, and what that writes has no code of its own.
ELSEWHERE = ("gallery", "notebooks", "reference")
TEXTS = [path for path in sorted(DOCS.rglob("*.md")) if path.parent.name not in ELSEWHERE]
PAGES = [path for path in TEXTS if BLOCK.search(path.read_text("utf-8"))]


def run(text, name, capsys):
    """Run the blocks of a page in one namespace; yield what each prints, and what it should."""
    names = {}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("code"))
        code = "\n" * line + textwrap.dedent(block["code"])
        exec(compile(code, name, "exec"), names)
        printed = block["printed"] and block["printed"].replace(f"\n{block['indent']}", "\n")
        yield capsys.readouterr().out, printed and printed.removeprefix(block["indent"])


def test_the_guide_is_among_the_pages():
    assert "shrinking.md" in [path.name for path in PAGES]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_the_code_of_a_page_runs_and_prints_what_it_says(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checker = doctest.OutputChecker()

    for printed, expected in run(path.read_text("utf-8"), str(path), capsys):
        if expected is not None:
            assert checker.check_output(expected, printed, doctest.ELLIPSIS), printed


def shell_lines(text):
    """Return the lines of a page's shell blocks, without comments, joined where they go on."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"(?:^|\s)#.*", "", line).strip() for line in lines]


def test_every_command_of_the_pages_exists():
    known = {" ".join(words): text for words, text in written_pages.commands()}
    pages = [*TEXTS, DOCS.parent / "README.md"]
    lines = [line for path in pages for line in shell_lines(path.read_text("utf-8"))]
    called = [part for line in lines for part in re.findall(r"\bkerasinit (?!-)[^&|;]*", line)]
    unknown = []
    for words in (shlex.split(part)[1:] for part in called):
        length = next(n for n in (2, 1, 0) if " ".join(words[:n]) in known)
        text = known[" ".join(words[:length])]
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        missing = [word for word in options if not re.search(rf"{word}\b", text)]
        unknown += [(words, missing)] if missing or not length else []

    assert len(called) > 20
    assert unknown == []


def test_the_lines_that_read_a_ticket_need_no_kerasinit(tmp_path):
    text = (DOCS / "file_formats.md").read_text("utf-8")
    code = next(block["code"] for block in BLOCK.finditer(text) if "safe_open" in block["code"])
    mask = np.arange(12).reshape(3, 4) % 5 > 0
    weights = mask * np.arange(12, dtype="float32").reshape(3, 4)
    ticket = lottery.Ticket(pruning.Masks({"dense/kernel": mask}), {"dense/kernel": weights})
    path = tmp_path / "ticket.safetensors"
    ticket.save(path)
    end = (
        "import sys; assert 'kerasinit' not in sys.modules\n"
        "print(masks['dense/kernel'].tolist() == (weights['dense/kernel'] > 0).tolist())"
    )

    done = subprocess.run(
        [sys.executable, "-c", f"PATH = {str(path)!r}\n{code}{end}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "True")
    assert len([line for line in code.splitlines() if line]) <= 11


def test_a_block_that_prints_something_else_is_noticed(capsys):
    page = textwrap.dedent(
        """
        ```python
        x = 1
        ```

        - indented

          ```python
          print(f"  {x}")
          ```

          ```text
            2
          ```
        """
    )

    assert list(run(page, "page", capsys)) == [("", None), ("  1\n", "  2\n")]
