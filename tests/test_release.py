"""What a release consists of: one version, one address, and an sdist with what its tests need."""

import re
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

import kerasinit
from docs import address
from kerasinit._src import cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HERE = "https://github.com/somebody/kerasinit-of-tests"
LINK = re.compile(r"https://[\w.]*github[\w.]*/[^\s\"')]*|https://[\w-]+\.github\.io/[^\s\"')]*")


def test_the_version_stands_in_one_place():
    file = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]

    assert PROJECT["project"]["dynamic"] == ["version"]
    assert f'__version__ = "{kerasinit.__version__}"' in file.read_text()
    assert Version(kerasinit.__version__).base_version == kerasinit.__version__
    assert f"\nversion: {kerasinit.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    named = [
        path.relative_to(ROOT)
        for path in (ROOT / "kerasinit").rglob("*.py")
        if path != file and re.search(r"version\(.kerasinit.\)", path.read_text("utf-8"))
    ]
    assert named == []


def test_the_command_line_prints_the_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])

    assert not exit_.value.code
    assert capsys.readouterr().out == f"kerasinit {kerasinit.__version__}\n"


def test_the_changes_are_listed_by_release():
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [head for head in heads if head != "Unreleased"]

    assert heads in (["Unreleased", *released], released)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in released)
    versions = [Version(head.split()[0]) for head in released]
    assert versions == sorted(versions, reverse=True)
    assert all(version <= Version(kerasinit.__version__) for version in versions)


def test_the_sdist_names_what_is_there():
    names = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]

    assert [name for name in names if not (ROOT / name.lstrip("/")).exists()] == []


def copy_places(folder):
    for name in address.PLACES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def test_links_to_the_repository_are_those_of_its_address(tmp_path):
    copy_places(tmp_path)

    assert address.write(tmp_path) == []


@pytest.fixture
def published(tmp_path):
    """Return a folder in which the address is that of somebody."""
    copy_places(tmp_path)
    project = tmp_path / "pyproject.toml"
    text = re.sub(r"(?m)^repository = .*$", f'repository = "{HERE}"', project.read_text(), count=1)
    project.write_text(text)
    return tmp_path


def test_an_address_that_is_set_is_written_everywhere(published):
    assert set(address.write(published)) == set(address.PLACES)
    assert address.write(published) == []

    project = tomllib.loads((published / "pyproject.toml").read_text())
    assert project["project"]["urls"] == {
        "Documentation": "https://somebody.github.io/kerasinit-of-tests/",
        "Source": HERE,
        "Issues": f"{HERE}/issues",
        "Changelog": f"{HERE}/blob/main/CHANGELOG.md",
    }
    assert f"[![gate]({HERE}/actions/workflows/gate.yml/" in (published / "README.md").read_text()
    assert f'repository-code: "{HERE}"' in (published / "CITATION.cff").read_text()
    messages = runpy.run_path(str(published / "kerasinit/_src/troubleshooting.py"))
    assert messages["see"]("unbuilt-model") == (
        "See https://somebody.github.io/kerasinit-of-tests/troubleshooting.html#unbuilt-model"
    )


def test_an_address_that_is_removed_leaves_no_link(published):
    address.write(published)
    project = published / "pyproject.toml"
    project.write_text(project.read_text().replace(f'repository = "{HERE}"', 'repository = ""'))

    assert set(address.write(published)) == set(address.PLACES)
    for name in address.PLACES:
        assert "somebody" not in (published / name).read_text()


def test_links_of_pages_are_made_from_the_address():
    assert address.colab("docs/notebooks/start.ipynb", HERE) == (
        "https://colab.research.google.com/github/somebody/kerasinit-of-tests/blob/main/"
        "docs/notebooks/start.ipynb"
    )
    assert address.colab("docs/notebooks/start.ipynb", "") == ""
    assert address.source("README.md", "") == address.site("") == ""


@pytest.mark.parametrize(
    "wrong", ["github.com/a/b", "http://github.com/a/b", f"{HERE}/", f"{HERE}/tree/main", "TODO"]
)
def test_an_address_that_is_none_is_refused(wrong, tmp_path):
    (tmp_path / "pyproject.toml").write_text(f'[tool.kerasinit]\nrepository = "{wrong}"\n')

    with pytest.raises(ValueError, match=r"expected 'https://github\.com/OWNER/NAME'"):
        address.repository(tmp_path)


@pytest.mark.parametrize("text", ["", "# address: written by python -m docs.address\n"])
def test_a_file_without_marked_lines_is_refused(text):
    with pytest.raises(ValueError, match="Expected one pair of lines"):
        address.rewritten(text, "")


def test_no_page_links_to_a_repository_of_this_package_that_is_not_its_own():
    own = (address.repository(), address.site(address.repository()))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *ROOT.glob("docs/**/*.md")]
    found = {
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in LINK.findall(page.read_text("utf-8"))
        if "kerasinit" in link and not any(one and link.startswith(one) for one in own)
    }

    assert len(pages) > 5
    assert found == set()
