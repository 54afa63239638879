"""Every public name, and the page that documents it.

The names come from the modules themselves, which read them from their ``.pyi`` files where they
have one, so that a new name is on a page, or in an error, without anybody thinking of it.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclasses.dataclass(frozen=True)
class Area:
    """A page of the reference.

    Attributes:
        page: File name of the page.
        title: Its title.
        intro: A sentence below the title.
        sections: By their headings, the beginnings of the modules below ``kerasinit._src`` whose
            names stand there.
        modules: The public modules whose names stand on this page and on no earlier one.
        results: Classes below ``kerasinit._src`` that functions of this page return, and that
            have no public name.
    """

    page: str
    title: str
    intro: str
    sections: dict[str, tuple[str, ...]]
    modules: tuple[str, ...] = ("kerasinit",)
    results: tuple[str, ...] = ()


_I = "initializers."
AREAS = (
    Area(
        "initializers",
        "Initializers",
        "The initial values of one tensor; Kaiming, He and MSRA are one scheme, Xavier and Glorot "
        "another. Every class is available in ``kerasinit`` and in ``kerasinit.initializers``.",
        {
            "Scaled to the fans": (_I + "variance_scaling", _I + "centred"),
            "Plain random": (_I + "random",),
            "Norm-preserving": (_I + "orthogonal", _I + "gates"),
            "Constant": (_I + "constant",),
            "Structured": (
                _I + "structured_kernels",
                _I + "sparse",
                _I + "stft",
                _I + "upsampling",
            ),
            "Biases": (_I + "bias",),
            "Particular networks": (_I + "networks",),
            "From a file": (_I + "saved_values", "files."),
            "Pictures": ("comparison.initializer_histograms",),
            "Base class, names and configurations": (_I + "base", _I + "serialization", _I),
        },
        ("kerasinit", "kerasinit.initializers"),
    ),
    Area(
        "whole_models",
        "Whole models",
        "The initial values of all variables of a built model, with the fans of each layer.",
        {
            "Draw and recommend": ("whole_models.",),
            "From a batch": ("whole_models.from_batch",),
            "Portable copies": ("whole_models.portable_copy",),
            "Predefined rules": ("whole_models.rules",),
        },
        ("kerasinit", "kerasinit.rules"),
        (
            "whole_models.redraw.ReinitializeReport",
            "whole_models.recommendation.Recommendation",
            "whole_models.from_batch.report.ScalingReport",
        ),
    ),
    Area(
        "theory",
        "Fans and gains",
        "What the scaled initializers compute with.",
        {"Fans": ("network.fans",), "Gains": ("theory.",)},
    ),
    Area(
        "diagnosis",
        "Diagnosis",
        "Whether a network will learn: vanishing gradients, exploding signals, dead and identical "
        "units, and the line that fixes them.",
        {
            "Entry points": ("diagnosis.entry", "diagnosis.monitor"),
            "Results": ("diagnosis.",),
        },
        ("kerasinit", "kerasinit.diagnosis"),
    ),
    Area(
        "comparison",
        "Comparison",
        "Which initializer trains a network best, measured with several seeds.",
        {"Entry point": ("comparison.entry",), "Results": ("comparison.",)},
        ("kerasinit", "kerasinit.comparison"),
    ),
    Area(
        "pruning",
        "Pruning",
        "The pruning API of tensorflow-model-optimization (tfmot), for both Kerases.",
        {
            "Prune a model": ("pruning.entry", "pruning.tfmot_bridge"),
            "Callbacks": ("pruning.callbacks", "pruning.early_stopping", "pruning.hold"),
            "Schedules": ("pruning.schedules",),
            "Policies and custom layers": (
                "pruning.policy",
                "pruning.layer_policies",
                "network.prunable",
            ),
            "Masks": ("mask_arrays", "pruning.selection"),
            "Summaries": ("pruning.inventory",),
        },
        ("kerasinit.pruning",),
    ),
    Area(
        "shrinking",
        "Shrinking",
        "Structured pruning, compaction, measurement and export.",
        {
            "Plan and remove channels": (
                "shrinking.planning",
                "shrinking.structured_masks",
                "shrinking.compaction",
            ),
            "Measure and export": (
                "shrinking.measuring",
                "shrinking.exporting",
                "shrinking.costs",
            ),
            "Groups and custom layers": ("shrinking.channel_groups", "shrinking.rules"),
            "Results": ("shrinking.",),
        },
        ("kerasinit.shrinking",),
    ),
    Area(
        "lottery",
        "Lottery tickets",
        "Iterative magnitude pruning (IMP) with rewinding, and what follows from it.",
        {
            "Describe and run": (
                "lottery.experiment",
                "lottery.loop",
                "lottery.options",
                "training.data",
            ),
            "Tickets and masks": ("lottery.store.ticket", "lottery.method"),
            "Verdict and proof": ("lottery.proof", "lottery.store.run_digest"),
            "Reports": ("lottery.report",),
            "Other questions": ("lottery.questions",),
            "Progress, results and errors": (
                "lottery.store",
                "lottery.progress",
                "lottery.",
                "files.",
                "training.",
            ),
        },
        ("kerasinit.lottery", "kerasinit.lottery.report", "kerasinit.lottery.questions"),
    ),
    Area(
        "playground",
        "Playground",
        "The two networks that the page of ``kerasinit playground`` shows.",
        {"Two networks": ("playground.",)},
        ("kerasinit.playground",),
    ),
)


def source_module(owner: str, name: str, item: Any) -> str:
    """Return the module below ``kerasinit._src`` that a public name comes from."""
    module = getattr(item, "__module__", None)
    if not isinstance(module, str) or not module.startswith("kerasinit._src."):
        module = _stub_sources(owner).get(name) or "kerasinit._src."
    return module.removeprefix("kerasinit._src.")


def _stub_sources(owner: str) -> dict[str, str]:
    """Return for each name that a module or its stub imports the module that it is from."""
    path = Path(inspect.getfile(importlib.import_module(owner)))
    stub = path.with_suffix(".pyi")
    tree = ast.parse((stub if stub.exists() else path).read_text("utf-8"))
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def modules() -> set[str]:
    """Return the public modules."""
    return {owner for area in AREAS for owner in area.modules}


@functools.cache
def documented() -> dict[str, dict[str, list[tuple[str, Any]]]]:
    """Return by page and heading the public names with their objects, each object once.

    Raises:
        LookupError: If a public name fits no heading.
    """
    seen: set[Any] = set()
    missing = []
    pages: dict[str, dict[str, list[tuple[str, Any]]]] = {}
    taken: set[str] = set()
    for area in AREAS:
        sections = {heading: [] for heading in area.sections}
        for owner in area.modules:
            for name in importlib.import_module(owner).__all__:
                item = getattr(importlib.import_module(owner), name)
                module = source_module(owner, name, item)
                key = (module, getattr(item, "__qualname__", name), name)
                heading = _heading(area, module)
                if isinstance(item, ModuleType) or name.startswith("__") or key in seen:
                    taken.add(f"{owner}.{name}")
                elif heading:
                    seen.add(key)
                    taken.add(f"{owner}.{name}")
                    sections[heading].append((f"{owner}.{name}", item))
        for name in area.results:
            module, _, attribute = f"kerasinit._src.{name}".rpartition(".")
            item = getattr(importlib.import_module(module), attribute)
            sections.setdefault("Results", []).append((f"{module}.{attribute}", item))
        pages[area.page] = sections
    for owner in sorted(modules()):
        for name in importlib.import_module(owner).__all__:
            if f"{owner}.{name}" not in taken:
                missing.append(f"{owner}.{name}")
    if missing:
        raise LookupError(
            f"docs/extensions/public_names.py has no heading for {', '.join(missing)}."
        )
    return pages


def entries() -> dict[str, list[tuple[str, Any]]]:
    """Return by page the public names with their objects."""
    return {
        page: [entry for listed in sections.values() for entry in listed]
        for page, sections in documented().items()
    }


def _heading(area: Area, module: str) -> str | None:
    """Return the heading whose beginning of a module is the longest that fits."""
    fitting = [
        (len(start), heading)
        for heading, starts in area.sections.items()
        for start in starts
        if module.startswith(start)
    ]
    return max(fitting)[1] if fitting else None


@functools.cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Return the documented name of each full name, and of each last part that is unique."""
    full: dict[str, str] = {}
    short: dict[str, set[str]] = {}
    by_object: dict[int, str] = {}
    for sections in documented().values():
        for name, item in (pair for pairs in sections.values() for pair in pairs):
            by_object.setdefault(id(item), name)
            full[name] = name
            short.setdefault(name.rpartition(".")[2], set()).add(name)
            if inspect.isclass(item) or inspect.isroutine(item):
                full.setdefault(f"{item.__module__}.{item.__qualname__}", name)
    for owner in sorted(modules()):
        for name in importlib.import_module(owner).__all__:
            found = by_object.get(id(getattr(importlib.import_module(owner), name)))
            if found:
                full.setdefault(f"{owner}.{name}", found)
    return full, {name: places.pop() for name, places in short.items() if len(places) == 1}


def canonical(target: str, module: str | None = None) -> str | None:
    """Return the name under which a target is documented, or None.

    Args:
        target: A name such as ``reinitialize``, ``kerasinit.diagnosis.diagnose`` or
            ``Report.plot``.
        module: The module that refers to it.
    """
    full, short = _names()
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        head, rest = ".".join(parts[:length]), parts[length:]
        places = (f"{module}.{head}", head, f"kerasinit.{head}")
        found = next((full[place] for place in places if place in full), short.get(head))
        if found:
            return ".".join([found, *rest])
    return None
