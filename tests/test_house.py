"""The rooms of the package keep their order, see docs/architecture.md."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "kerasinit"

# A room imports from those above it and, within itself, from every file that does not import it.
LEVELS = (
    ("errors", "keras_naming", "streams", "troubleshooting", "version"),
    ("lazy", "mask_arrays", "compat"),
    ("theory", "files"),
    ("network", "initializers", "reports"),
    ("whole_models", "pruning", "training"),
    ("diagnosis", "comparison", "lottery", "shrinking"),
    ("playground",),
    ("cli", "registration"),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def read_modules(root):
    """Return the files of a package by the names of their modules."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def read_imports(modules):
    """Return for each module the modules of the package that it imports, wherever in the file.

    Imports within functions and for type checking count, too: what needs them to hide a circle
    has one.
    """
    imports = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports[name] = found = set()
        # A stub lists what is imported on first use.
        files = [path, *path.parent.glob(f"{path.stem}.pyi")]
        trees = [ast.parse(one.read_text()) for one in files]
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level]
                source = ".".join([*above, *([node.module] if node.module else [])])
                source = source if node.level else node.module
                # A name is a module of a package, or something that its file defines.
                names = {f"{source}.{alias.name}" for alias in node.names}
                found |= {one if one in modules else source for one in names}
        found &= set(modules)
    return imports


def circles(imports):
    """Return the circles: modules that import each other, if not directly, then through others."""
    reached = {}
    for module in imports:
        reached[module], waiting = set(), [module]
        while waiting:
            new = imports[waiting.pop()] - reached[module]
            reached[module] |= new
            waiting += new
    inside = {module for module in imports if module in reached[module]}
    return {frozenset({m, *(o for o in reached[m] if m in reached[o])}) for m in inside}


def room_of(module):
    """Return the room of a module; None if it is public or `_src` itself."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "_src" else None


def upward_imports(imports):
    """Return the imports against the order: of a room beside or below, or of a public module."""
    found = []
    for module, sources in imports.items():
        room = room_of(module)
        for source in sources if room else ():
            other = room_of(source)
            if source == f"{PACKAGE}._src" or other == room:
                continue
            if other is None or LEVEL_OF[other] >= LEVEL_OF[room]:
                found.append(f"{module} imports {source}")
    return sorted(found)


MODULES = read_modules(ROOT)
IMPORTS = read_imports(MODULES)
PUBLIC = [name for name in MODULES if room_of(name) is None and not name.endswith("._src")]


def test_every_room_has_its_level():
    assert {room for room in map(room_of, MODULES) if room} == set(LEVEL_OF)


def test_no_two_files_import_each_other():
    assert circles(IMPORTS) == set()


def test_imports_go_one_way():
    assert upward_imports(IMPORTS) == []


@pytest.fixture
def planted(tmp_path):
    """Return a function that writes files below `_src` and reads their imports."""

    def plant(**files):
        for name, text in files.items():
            path = tmp_path / PACKAGE / "_src" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for folder in {path.parent for path in tmp_path.rglob("*.py")} | {tmp_path / PACKAGE}:
            (folder / "__init__.py").touch()
        return read_imports(read_modules(tmp_path))

    return plant


@pytest.mark.parametrize(
    "hidden",
    [
        "import kerasinit._src.theory.gains",
        "from kerasinit._src.theory.gains import gain",
        "from kerasinit._src.theory import gains",
        "from . import gains",
        "from .gains import gain",
        "from ..theory import gains",
        "def later():\n    from kerasinit._src.theory.gains import gain",
        "if TYPE_CHECKING:\n    from kerasinit._src.theory.gains import gain",
    ],
)
def test_a_planted_circle_is_found(planted, hidden):
    through = "from kerasinit._src.theory.limits import limit"

    imports = planted(
        theory__gains="from kerasinit._src.theory import between",
        theory__between=through,
        theory__limits=hidden,
    )

    modules = {f"kerasinit._src.theory.{name}" for name in ("gains", "between", "limits")}
    assert circles(imports) == {frozenset(modules)}
    assert circles(planted(theory__limits="import keras")) == set()


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("compat", "theory.gains"),
        ("files", "theory.gains"),
        ("diagnosis", "lottery.loop"),
        ("training", "cli.main"),
    ],
)
def test_a_planted_import_of_a_room_beside_or_below_is_found(planted, room, source):
    files = {f"{room}__one": f"from kerasinit._src.{source} import something"}

    imports = planted(**files, **{source.replace(".", "__"): ""})

    assert upward_imports(imports) == [f"kerasinit._src.{room}.one imports kerasinit._src.{source}"]


def test_a_planted_import_of_a_public_module_is_found(planted):
    imports = planted(theory__one="import kerasinit")

    assert upward_imports(imports) == ["kerasinit._src.theory.one imports kerasinit"]


def test_files_are_short():
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}

    assert {name: count for name, count in lines.items() if count > 420} == {}


def test_functions_are_short():
    found = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                found[f"{name}.{node.name}"] = lines

    assert {name: lines for name, lines in found.items() if lines > 60} == {}


def test_no_module_has_the_name_of_a_public_function():
    functions = set()
    for name in PUBLIC:
        module = importlib.import_module(name)
        functions |= {one for one in module.__all__ if inspect.isfunction(getattr(module, one))}

    assert "compare" in functions
    names = {part for name in MODULES for part in name.split(".")}
    assert names & functions == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_only_names_what_is_public(name):
    assert {source for source in IMPORTS[name] if room_of(source) is None} <= set(PUBLIC)
    defined = {
        node.name
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    # Names that are only imported when they are used.
    assert defined <= {"__getattr__", "__dir__"}
    module = importlib.import_module(name)
    assert set(module.__all__) <= set(dir(module))


LAZY = [name for name in PUBLIC if f"{PACKAGE}._src.lazy" in IMPORTS[name]]


@pytest.mark.parametrize("name", LAZY)
def test_the_names_of_a_stub_are_found(name):
    module = importlib.import_module(name)

    assert len(module.__all__) > 5
    for one in module.__all__:
        assert getattr(module, one) is not None
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_documents_name_files_that_are_there(document):
    named = set(re.findall(r"`([\w./-]+(?:/|\.py|\.md))`", (ROOT / document).read_text()))
    places = (ROOT, ROOT / PACKAGE / "_src")

    assert len(named) > 10
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()


def test_the_rooms_are_described_in_their_order():
    text = (ROOT / "docs/architecture.md").read_text()
    described = re.findall(r"^\| \d? ?\| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)

    assert described == [room for rooms in LEVELS for room in rooms]


def _exists(name):
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False


def test_the_names_that_docstrings_refer_to_exist():
    written = re.compile(r"(?<![\w./-])kerasinit(?:\.[A-Za-z_]\w*)+")
    # Not the changes, which name what was.
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    texts = [path.read_text("utf-8") for path in (*MODULES.values(), *pages)]
    names = {name for text in texts for name in written.findall(text)}

    assert "kerasinit.reinitialize" in names
    assert not _exists("kerasinit.initializers.base.RandomInitializer")
    assert sorted(name for name in names if not _exists(name)) == []


def read_eager_imports(path):
    """Return what a file imports when it is imported itself, in order, as ``module:name``."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found += [f"{alias.name}:" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.append(f"{module}:" if module in MODULES else f"{node.module}:{alias.name}")
    return found


def test_keras_is_imported_before_any_module_that_the_initializers_are_made_of():
    # The import of Keras registers the initializers, and so imports these modules, whichever of
    # them imported it. See `registration`.
    made_of, waiting = set(), [f"{PACKAGE}._src.initializers"]
    while waiting:
        module = waiting.pop()
        if module in MODULES and module not in made_of:
            made_of.add(module)
            waiting += [one.partition(":")[0] for one in read_eager_imports(MODULES[module])]
    rooms = {f"{PACKAGE}._src.{room_of(module)}" for module in made_of}
    prepared = {room for room in rooms if read_eager_imports(MODULES[room])[:1] == ["keras:"]}

    assert prepared == {f"{PACKAGE}._src.compat", f"{PACKAGE}._src.initializers"}
    for module in made_of - prepared:
        imports = read_eager_imports(MODULES[module])
        # The module of a prepared room may not have its names yet; the modules in it have theirs.
        assert not [
            one
            for one in imports
            for room in prepared
            if one.startswith(f"{room}:")
            if not one.endswith(":")
        ]
        if f"{PACKAGE}._src.{room_of(module)}" not in prepared:
            needing = ("keras:", *(f"{room}{sign}" for room in prepared for sign in ".:"))
            assert not [one for one in imports if one.startswith(needing)]
