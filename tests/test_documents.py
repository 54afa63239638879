"""What the pages in docs/ show is so: their code runs, and prints what stands below it."""

import doctest
import re
import textwrap
from pathlib import Path

import pytest

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
