"""The notebooks are whole, without outputs, and run, which the build of the site does as well."""

import ast
import contextlib
import io
import json
import re
import tempfile
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 30
CORES = 2
EXTRA = "kerasinit[examples]"


def read(path):
    return json.loads(path.read_text("utf-8"))


def cells(path, kind):
    found = [cell for cell in read(path)["cells"] if cell["cell_type"] == kind]
    return ["".join(cell["source"]) for cell in found]


def plain(code):
    """Return the code of a cell without the magics of IPython."""
    return re.sub(r"^( *)%.*$", r"\1pass", code, flags=re.MULTILINE)


def test_magics_are_taken_out():
    assert plain("%matplotlib inline\nif x:\n    %pip install y\na = 5 % 3") == (
        "pass\nif x:\n    pass\na = 5 % 3"
    )


def test_there_are_six():
    assert [path.stem for path in NOTEBOOKS] == [
        "comparison", "diagnosis", "first_values", "lottery", "pruning", "shrinking",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_it_can_be_opened_by_jupyter_and_colab(self, path):
        notebook = read(path)

        assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        names = [cell["id"] for cell in notebook["cells"]]
        assert len(set(names)) == len(names)
        assert {cell["cell_type"] for cell in notebook["cells"]} == {"code", "markdown"}

    def test_it_has_no_outputs(self, path):
        for cell in read(path)["cells"]:
            if cell["cell_type"] == "code":
                assert (cell["outputs"], cell["execution_count"]) == ([], None)

    def test_it_begins_with_its_title_and_is_installed_only_where_it_is_missing(self, path):
        first, second = read(path)["cells"][:2]

        assert "".join(first["source"]).startswith("# ")
        assert (
            sum(text.count("\n# ") + text.startswith("# ") for text in cells(path, "markdown")) == 1
        )
        code = "".join(second["source"])
        assert (
            f'if importlib.util.find_spec("kerasinit") is None:\n    %pip install -q "{EXTRA}"'
            in code
        )
        assert "pip install" not in "".join(cells(path, "code")[1:])

    def test_its_code_parses_and_names_nothing_internal(self, path):
        for code in cells(path, "code"):
            ast.parse(plain(code))
            assert "_src" not in code

    def test_its_links_stay_within_the_notebooks(self, path):
        for text in cells(path, "markdown"):
            for target in re.findall(r"\]\(([^)]*)\)", text):
                assert (FOLDER / target).is_file(), target
            assert "http" not in text  # the site links the repository, Colab and the papers

    def test_it_needs_no_network(self, path):
        for code in cells(path, "code"):
            assert not re.search(r"fetch_|keras\.(datasets|applications)|urlopen|get_file", code)

    @pytest.mark.nightly
    def test_it_runs_in_half_a_minute(self, path, monkeypatch, tmp_path):
        current, temporary = tmp_path / "current", tmp_path / "temporary"
        current.mkdir()
        temporary.mkdir()
        monkeypatch.chdir(current)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        names = {"__name__": "__main__"}
        # Of all threads, so that what else the machine does counts for nothing.
        begun = time.process_time()

        with contextlib.redirect_stdout(io.StringIO()):
            for number, code in enumerate(cells(path, "code")):
                exec(compile(plain(code), f"{path.name}, cell {number}", "exec"), names)

        assert time.process_time() - begun < SECONDS * CORES
        assert not list(current.iterdir())
