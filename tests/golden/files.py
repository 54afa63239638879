"""What golden files hold: files of a release that every later one must read.

Each folder such as ``0.1`` holds the files of one release, those of models compressed: they are
mostly empty space. ``expected.json`` says of each what was read from it when it was written:
initializers with their arguments, and digests of all arrays. `write` writes files and never changes
one.
"""

import csv
import dataclasses
import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

import kerasinit
from kerasinit import lottery, pruning
from kerasinit.playground import Settings
from tests.initializers.load_saved import VARIABLES, described
from tests.kerases import KERASES

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "expected.json").exists())
MODELS = (".keras", ".h5")


def expected(release: str) -> dict[str, Any]:
    """Return what the golden files of a release hold, by their names."""
    path = HERE / release / "expected.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def unpacked(release: str, name: str, folder: Path) -> Path:
    """Return the path of a golden file or folder, unpacked into a folder."""
    path = folder / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = HERE / release / name
    archive = packed.with_name(f"{packed.name}.tar.gz")
    if archive.exists():
        with tarfile.open(archive) as file:
            file.extractall(path.parent, filter="data")
    elif packed.exists():
        path.write_bytes(packed.read_bytes())
    else:
        path.write_bytes(gzip.decompress(packed.with_name(f"{packed.name}.gz").read_bytes()))
    return path


def read(path: Path, library: str = "") -> dict[str, Any]:
    """Return what is in a golden file, as plain data.

    Args:
        path: The file or folder, whose name tells what it is.
        library: The Keras that wrote it, if any.
    """
    if path.name.endswith(".weights.h5"):
        return {"variables": _variables(path)}
    if path.suffix in MODELS or path.name == "saved_model":
        return _model(load(path, library)) | {"variables": _variables(path)}
    return _READERS[path.name](path)


def load(path: Path, library: str) -> Any:
    """Return the model in a file; a pruned one of tf_keras has tfmot's layers."""
    with pruning.prune_scope():
        return KERASES[library].models.load_model(path)


def _model(model: Any) -> dict[str, Any]:
    found = described(model)
    return {
        "layers": {
            name: {"class": layer["class"], "config": layer["config"]}
            for name, layer in found.items()
        },
        "weights": [digest(array) for array in model.get_weights()],
    }


def _variables(path: Path) -> dict[str, Any]:
    """Return what `kerasinit.variables_in` and `kerasinit.FromModel` read from a file."""
    shapes = kerasinit.variables_in(path)
    # Every reading opens the file, so a few arrays must do; numbers and masks are tfmot's.
    arrays = [name for name, shape in shapes.items() if len(shape) > 1][:4]
    return {
        "shapes": shapes,
        "digests": {name: kerasinit.FromModel(path, name).digest for name in arrays},
    }


def digest(array: Any) -> str:
    """Return dtype, shape and a hash of the values of an array."""
    array = np.asarray(array)
    shape = "x".join(map(str, array.shape))
    return f"{array.dtype.name} {shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _run(path: Path) -> dict[str, Any]:
    proof = lottery.verify(path)
    places = lottery.Store.read(path).places()
    return {
        "holds": proof.holds,
        "findings": [str(finding) for finding in proof.findings],
        "digest": lottery.digest(path),
        "rows": lottery.rows(path),
        "tickets": {str(place): _ticket(path, place) for place in places},
    }


def _ticket(run: Path, place: Any) -> dict[str, Any]:
    ticket = lottery.load_ticket(lottery.Store.read(run).stage(place).ticket_path)
    return {
        "masks": {name: digest(mask) for name, mask in ticket.masks.items()},
        "weights": {name: digest(array) for name, array in ticket.weights.items()},
        "density": ticket.density,
    }


def _table(path: Path) -> dict[str, Any]:
    with open(path, newline="", encoding="utf-8") as file:
        return {"lines": list(csv.DictReader(file))}


def _addresses(path: Path) -> dict[str, Any]:
    lines = path.read_text("utf-8").split()
    return {"settings": [Settings.from_address(line).to_dict() for line in lines]}


def _experiment(path: Path) -> dict[str, Any]:
    return dataclasses.asdict(lottery.Experiment(**lottery.read_toml(path)))


_READERS = {
    "run": _run,
    "rows.csv": _table,
    "curves.csv": _table,
    "addresses.txt": _addresses,
    "experiment.toml": _experiment,
}


def missing(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Return where something recorded is not found; more than that may be there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for key, value in wanted.items()
            for line in (
                missing(found[key], value, f"{place}/{key}")
                if key in found
                else [f"{place}/{key} is missing"]
            )
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(found, wanted, strict=True))
        return [line for i, (f, w) in pairs for line in missing(f, w, f"{place}/{i}")]
    return [] if found == wanted else [f"{place} is {found!r:.200}, was {wanted!r:.200}"]


def classes_in(contents: dict[str, Any]) -> set[str]:
    """Return the classes of the initializers in some golden files."""
    layers = [
        layer for one in contents.values() for layer in one["holds"].get("layers", {}).items()
    ]
    return {layer["class"] for _, layer in layers}


def redrawn(model: Any) -> dict[str, tuple[Any, Any]]:
    """Return what initializers with a seed draw for layers again, beside what these hold."""
    pairs = {}
    for name, layer in described(model).items():
        values = np.array(layer["values"], "float32")
        there = [getattr(model.get_layer(name), attribute, None) for attribute in VARIABLES]
        (made,) = [one for one in there if type(one).__module__.startswith("kerasinit.")]
        if not isinstance(made, kerasinit.FromModel | kerasinit.WinningTicket):
            pairs[name] = np.asarray(made(values.shape, "float32")), values
    return pairs
