"""What a complete docstring has, and which public names there are to check.

The form is that of `CONTRIBUTING.md`: one summary line, then why and when, the formula,
``Args`` with shapes, units and defaults, ``Returns``, ``Raises``, an example that runs, and the
paper. A docstring may refer to that of another public name for its parameters and errors; the
reference is followed, and what it leads to has to fit the signature it is referred to from.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = "kerasinit"

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Reference")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):\s*$")
_ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*):(?:\s|$)")
# A docstring is indented by at most eight columns, in lines of at most 100.
SUMMARY_COLUMNS = 100 - 4 - len('"""')

_SHAPE = re.compile(
    r"\bshapes?\b|``\([^`]*[,*]|\bscalar|\bone (?:for|per|value|number|row|entry)\b"
    r"|\bexamples?\b|\brank\b|\baxis\b|\baxes\b|\bas the model takes\b|\bany shape\b",
)
_ARRAY = re.compile(r"\b(?:ndarray|ArrayLike|Tensor|arrays?|tensors?)\b")


@dataclasses.dataclass(frozen=True)
class Docstring:
    """A docstring, divided into its sections.

    Attributes:
        summary: The first paragraph.
        text: All of it, dedented.
        sections: The text below each heading.
    """

    summary: str
    text: str
    sections: dict[str, str]

    def entries(self, *headings: str) -> dict[str, str]:
        """Return the text for each name in the given sections; a line may document several."""
        found: dict[str, str] = {}
        for heading in headings:
            names: list[str] = []
            for line in self.sections.get(heading, "").splitlines():
                if match := _ENTRY.match(line):
                    names = [name.lstrip("*") for name in match[1].split(", ")]
                    found |= dict.fromkeys(names, "")
                    line = line[match.end() :]
                for name in names:
                    found[name] = f"{found[name]} {line.strip()}".strip()
        return found


def parse(text: str | None) -> Docstring:
    """Divide a docstring into its sections."""
    text = inspect.cleandoc(text or "")
    sections: dict[str, list[str]] = {}
    lines = None
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            lines = sections.setdefault(heading[1], [])
        elif lines is not None:
            lines.append(line)
    return Docstring(
        text.split("\n\n")[0], text, {name: "\n".join(part) for name, part in sections.items()}
    )


@dataclasses.dataclass(frozen=True)
class Public:
    """A public name.

    Attributes:
        name: The shortest path under which a user finds it: ``kerasinit.HeNormal``.
        kind: ``"module"``, ``"constant"``, ``"function"``, ``"class"``, ``"method"`` or
            ``"property"``.
        value: What it names; a method as the plain function.
        owner: The class of a method or property, otherwise None.
    """

    name: str
    kind: str
    value: Any
    owner: type | None = None

    def __str__(self) -> str:
        return self.name


def public_modules() -> list[str]:
    """Return the modules outside ``_src``, those with the shortest names first."""
    paths = [
        path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / PACKAGE).rglob("*.py")
    ]
    names = {".".join(parts).removesuffix(".__init__") for parts in paths if "_src" not in parts}
    return sorted(names, key=lambda name: (name.count("."), name))


def public_names() -> list[Public]:
    """Return every public name once: modules, their ``__all__``, methods and properties."""
    found, seen = [], set()
    for module_name in public_modules():
        module = importlib.import_module(module_name)
        found.append(Public(module_name, "module", module))
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value) or id(value) in seen:
                continue
            seen.add(id(value))
            path = f"{module_name}.{name}"
            if not callable(value):
                found.append(Public(path, "constant", value))
            elif not inspect.isclass(value):
                found.append(Public(path, "function", value))
            else:
                found.append(Public(path, "class", value))
    paths = {one.value: one.name for one in found if one.kind == "class"}
    for cls in list(paths):
        for member in _members(cls, paths):
            if id(member.value) not in seen:
                seen.add(id(member.value))
                found.append(member)
    return found


def _members(cls: type, paths: dict[type, str]) -> Iterator[Public]:
    """Yield the public methods and properties that a class has from this package."""
    for base in cls.__mro__:
        if not base.__module__.startswith(PACKAGE):
            continue
        path = paths.get(base, paths[cls])
        for name, value in vars(base).items():
            overridden = inspect.getattr_static(cls, name) is not value
            if overridden or (name.startswith("_") and name != "__call__"):
                continue
            if isinstance(value, property | functools.cached_property):
                yield Public(f"{path}.{name}", "property", value, base)
            elif isinstance(value, staticmethod | classmethod):
                yield Public(f"{path}.{name}", "method", value.__func__, base)
            elif inspect.isfunction(value):
                yield Public(f"{path}.{name}", "method", value, base)


def docstring_of(public: Public) -> str | None:
    """Return the docstring; that of a constant is the string below its assignment."""
    if public.kind == "constant":
        return _constant_docstring(public)
    if public.kind == "class":
        return public.value.__dict__.get("__doc__")
    return public.value.__doc__


def _constant_docstring(public: Public) -> str | None:
    module_name, _, name = public.name.rpartition(".")
    module = importlib.import_module(module_name)
    tree = ast.parse(Path(module.__file__ or "").read_text("utf-8"))
    sources = [
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        if name in [alias.name for alias in node.names]
    ]
    body = ast.parse(inspect.getsource(importlib.import_module(sources[0]))).body
    for node, after in itertools.pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in [getattr(target, "id", None) for target in targets]:
            value = after.value if isinstance(after, ast.Expr) else None
            return value.value if isinstance(value, ast.Constant) else None
    return None


def parameters_of(public: Public) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function, of a method without ``self``, or of a constructor."""
    if public.kind not in {"function", "class", "method"}:
        return {}
    if public.kind == "class" and issubclass(public.value, Exception):
        return {}
    parameters = dict(inspect.signature(public.value).parameters)
    if public.kind == "method":
        bound = inspect.getattr_static(public.owner, public.value.__name__, None)
        if not isinstance(bound, staticmethod):
            del parameters[next(iter(parameters))]
    return {name: one for name, one in parameters.items() if not name.startswith("_")}


def is_plain_record(public: Public) -> bool:
    """Return whether it is a data class that the package fills in, and that checks nothing."""
    return dataclasses.is_dataclass(public.value) and not hasattr(public.value, "__post_init__")


def is_foreign(public: Public) -> bool:
    """Return whether a method is one of Keras' or Python's, whose documentation holds for it."""
    return public.kind == "method" and any(
        public.value.__name__ in vars(base)
        for base in (public.owner or object).__mro__
        if not base.__module__.startswith(PACKAGE) and base is not object
    )


def overridden(public: Public) -> Docstring:
    """Return the docstring of the method of this package that a method overrides."""
    if public.kind in {"method", "property"}:
        for base in (public.owner or object).__mro__[1:]:
            value = vars(base).get(public.name.rpartition(".")[2])
            if base.__module__.startswith(PACKAGE) and value is not None and value.__doc__:
                return parse(value.__doc__)
    return parse("")


def complaints(
    public: Public,
    known: dict[str, Public],
    *,
    needs_paper: bool = False,
    raises_nothing: bool = False,
) -> list[str]:
    """Return what is missing or wrong in the docstring of a public name.

    Args:
        public: The name.
        known: All public names by their last part, to follow references.
        needs_paper: Whether a paper is its source.
        raises_nothing: Whether it is known to raise nothing, although it takes parameters.
    """
    text = docstring_of(public)
    if not text:
        return ["no docstring"]
    doc, base = parse(text), overridden(public)
    found = list(_of_the_text(doc))
    if public.kind in {"module", "constant", "property"} or is_foreign(public):
        return found
    if public.kind == "class" and issubclass(public.value, Exception):
        named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", text)}
        return found if named & set(known) else [*found, "does not name what raises it"]
    found += _of_the_parameters(public, doc, base, known)
    if not _describes_result(public, doc, base):
        found.append("no Returns")
    found += [] if raises_nothing else _of_the_errors(public, doc, base)
    found += _of_the_example(public, doc, known)
    if needs_paper and not doc.sections.get("Reference", "").strip():
        found.append("no Reference")
    return found


def _of_the_text(doc: Docstring) -> Iterator[str]:
    if not doc.summary.endswith("."):
        yield "the summary does not end with a period"
    if "\n" in doc.summary or len(doc.summary) > SUMMARY_COLUMNS:
        yield "the summary does not fit on a line"
    if "_src" in doc.text:
        yield "refers to what is not public"
    for name, part in doc.sections.items():
        if not part.strip():
            yield f"{name} is empty"


def _of_the_parameters(
    public: Public, doc: Docstring, base: Docstring, known: dict[str, Public]
) -> Iterator[str]:
    parameters = parameters_of(public)
    entries = base.entries("Args") | doc.entries("Args", "Attributes")
    below = _documented_below(public.value)
    existing = set(parameters) | _attributes(public.value)
    for name in doc.entries("Args", "Attributes"):
        if name not in existing:
            yield f"documents {name}, which does not exist"
    for name, parameter in parameters.items():
        if name not in entries and name not in below:
            yield f"{name} is not documented"
            continue
        text, source = _followed(name, parameter, entries.get(name, below.get(name, "")), known)
        if source is None:
            yield f"{name} refers to {text}, which does not document it or has another default"
            continue
        if not text:
            yield f"{name} has no text"
        if _is_array(parameter, text) and not _SHAPE.search(text):
            yield f"{name} is an array without a shape"
        # The default of a field stands above its docstring; that of a result is not asked for.
        shown = is_plain_record(public) or (name in below and parameter.default is not None)
        if parameter.default is not inspect.Parameter.empty and not shown:
            yield from _of_the_default(name, parameter.default, text)


def _documented_below(cls: Any) -> dict[str, str]:
    """Return the docstrings below the fields of a class."""
    found: dict[str, str] = {}
    for base in cls.__mro__ if inspect.isclass(cls) else ():
        if base.__module__.startswith(PACKAGE):
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
            for node, after in itertools.pairwise(body):
                value = after.value if isinstance(after, ast.Expr) else None
                if isinstance(node, ast.AnnAssign) and isinstance(value, ast.Constant):
                    found.setdefault(node.target.id, value.value)
    return found


def _attributes(value: Any) -> set[str]:
    """Return the attributes that a class sets on itself or its instances."""
    if not inspect.isclass(value):
        return set()
    names = set()
    for base in value.__mro__:
        if base.__module__.startswith(PACKAGE):
            names |= set(vars(base)) | set(inspect.get_annotations(base))
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
            names |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                if isinstance(node.ctx, ast.Store)
            }
    return names


def _followed(
    name: str, parameter: inspect.Parameter, text: str, known: dict[str, Public]
) -> tuple[str, str | None]:
    """Return the text for a parameter where it stands, and the name it was found under.

    ``See `VarianceScaling```, as a whole entry, leads to the entry of that name there.
    """
    visited = []
    while match := re.match(r"(?:As in|See) `([\w.]+)`", text):
        visited.append(match[1])
        other = known.get(match[1].rpartition(".")[2])
        there = parameters_of(other).get(name) if other else None
        text = parse(docstring_of(other)).entries("Args").get(name, "") if other else ""
        same = there is not None and _same(there.default, parameter.default)
        if not text or not same or len(visited) > 3:
            return " > ".join(visited), None
    return text, visited[-1] if visited else name


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one is other or bool(one == other))


def _is_array(parameter: inspect.Parameter, text: str) -> bool:
    annotation = str(parameter.annotation)
    prose = re.sub(r"``.*?``", "", text)
    return bool(_ARRAY.search(annotation) or _ARRAY.search(prose))


def _of_the_default(name: str, default: Any, text: str) -> Iterator[str]:
    if not re.search(r"\b[Dd]efaults?\b", text) and not _mentions(default, text):
        yield f"{name} has a default that is not mentioned"
    if stated := re.search(r"Defaults to (?:``)?([^`.,;:]+(?:\.\d+)?)", text):
        try:
            value = ast.literal_eval(stated[1].strip())
        except (SyntaxError, ValueError):
            return  # a description, such as "the name of the model"
        if value != default and default is not None:
            yield f"{name} defaults to {default!r}, not to {value!r}"


def _mentions(value: Any, text: str) -> bool:
    written = {repr(value), repr(value).replace("'", '"')}
    if isinstance(value, float) and value.is_integer():
        written.add(repr(int(value)))
    return any(re.search(rf"(?<![\w.]){re.escape(one)}(?![\w])", text) for one in written)


def _describes_result(public: Public, doc: Docstring, base: Docstring) -> bool:
    """Return whether the result is described, in a section or by the summary itself."""
    if public.kind == "class":
        return True
    if inspect.signature(public.value).return_annotation in (None, "None"):
        return True
    if {"Returns", "Yields"} & {*doc.sections, *base.sections}:
        return True
    return doc.summary.startswith(("Return ", "Yield "))


def _of_the_errors(public: Public, doc: Docstring, base: Docstring) -> Iterator[str]:
    entries = doc.entries("Raises") or base.entries("Raises")
    value = public.value
    if public.kind == "class":
        value = vars(value).get("__init__") or vars(value).get("__post_init__")
    direct = _raised_in(value)
    if public.kind == "method":
        needed = bool(direct) or any(_raised_in(one) for one in _called_in(value))
    else:
        needed = bool(direct) or (bool(parameters_of(public)) and not is_plain_record(public))
    if needed and not entries:
        yield "no Raises"
    elif needed:
        yield from (f"Raises lacks {name}" for name in sorted(direct - set(entries)))


def _raised_in(function: Any) -> set[str]:
    """Return which of ValueError and TypeError the code of a function itself raises."""
    names = set()
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Raise):
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            returned = inspect.get_annotations(_named(made, function) or object).get("return")
            names |= {getattr(made, "id", None), getattr(returned, "__name__", None)}
    return names & {"TypeError", "ValueError"}


def _called_in(function: Any) -> list[Any]:
    """Return the functions of this package that a function calls by name."""
    calls = [node.func for node in ast.walk(_tree(function)) if isinstance(node, ast.Call)]
    return [one for one in (_named(call, function) for call in calls) if one is not None]


def _named(node: Any, function: Any) -> Any:
    """Return the function of this package that ``name`` or ``module.name`` means in a function."""
    found = None
    if isinstance(node, ast.Name):
        found = function.__globals__.get(node.id)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = function.__globals__.get(node.value.id)
        found = getattr(module, node.attr, None) if inspect.ismodule(module) else None
    is_ours = inspect.isfunction(found) and found.__module__.startswith(PACKAGE)
    return found if is_ours else None


def _tree(function: Any) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):  # written by `dataclasses`, or not a function
        return ast.Module([], [])


def _of_the_example(public: Public, doc: Docstring, known: dict[str, Public]) -> Iterator[str]:
    """Methods rely on the example of their class, results on that of what returns them."""
    example = doc.sections.get("Example", "")
    if "+SKIP" in doc.text:
        yield "an Example that is skipped"
    if public.kind == "method" or ">>>" in example:
        return
    reference = re.match(r"\s*See `([\w.]+)`", example)
    if not reference or not is_plain_record(public):
        yield "no Example"
        return
    other = known.get(reference[1].rpartition(".")[2])
    shown = parse(docstring_of(other)).sections.get("Example", "") if other else ""
    if not any(f".{name}" in shown for name in _attributes(public.value)):
        yield f"the Example of {reference[1]} does not show it"
