"""One number for all that a run came to."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from kerasinit._src.files.tensors import TICKET, VERSIONS
from kerasinit._src.lottery.store.stage import Place, Stage
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.lottery.store.ticket import read_tensors


def digest(run: Run, *, partial: bool = False) -> str:
    """Return the digest of a run: the same numbers, the same digest, to the last bit.

    It covers the experiment, the examples, and of each training every array (masks,
    weights, the rewind point, the optimizer's moments), the curve and the result. It
    depends on no time, path, version or order of files, so that a run which was killed and
    went on has the digest of one that was left alone. Two things are left out: how many
    seconds a training took, and ``model.keras``, an archive with dates in it, whose weights
    are those of ``trained.safetensors`` (`kerasinit.lottery.verify` compares them).

    Whoever publishes a result can publish this with it: it stands for numbers that only a
    new run could contradict, such as the accuracies.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        partial: Whether to take what is there of a run that is not finished.

    Returns:
        The SHA-256, in hexadecimal.

    Raises:
        ValueError: If the run is not finished (unless ``partial``), or a file is damaged.

    Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> from kerasinit._src.lottery.experiment import Experiment
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store.open(Path(folder) / "a", Experiment(), {"data": "", "versions": {}})
    ...     other = Store.open(Path(folder) / "b", Experiment(), {"data": "", "versions": {}})
    ...     print(digest(store, partial=True) == digest(other, partial=True))
    True
    """
    store = Store.of(run)
    missing = store.missing()
    if missing and not partial:
        raise ValueError(
            f"{store.folder} is not finished: {len(missing)} of {len(store.places())} trainings "
            f"are missing ({_listed(missing)}). Repeat the command that made it, or digest what "
            f"is there with --partial."
        )
    sha = hashlib.sha256()
    _add(sha, "experiment", _json(store.experiment.to_dict()))
    _add(sha, "data", _json(store.about.get("data")))
    for place in store.places():
        if store.has(place):
            _add(sha, "place", str(place).encode())
            _add_stage(sha, store.stage(place))
    return sha.hexdigest()


def _add_stage(sha: "hashlib._Hash", stage: Stage) -> None:
    for path in sorted(stage.folder.glob("*.safetensors")):
        arrays, about = read_tensors(path)
        if about.get("format") == TICKET:
            # As it was when the first digests were published.
            about["version"] = VERSIONS[0]
        _add(sha, path.name, _json(about))
        for name, array in sorted(arrays.items()):
            _add(sha, f"{name} {array.dtype} {array.shape}", array.tobytes())
    _add(sha, "curve", stage.curve_text())
    # The row has all of the result but the seconds.
    _add(sha, "result", _json(asdict(stage.row())))


def _add(sha: "hashlib._Hash", name: str, content: bytes) -> None:
    """Add a part under its name; the lengths keep parts from running into each other."""
    for part in (name.encode(), content):
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _listed(places: Iterable[Place], most: int = 3) -> str:
    places = list(places)
    words = "; ".join(str(place) for place in places[:most])
    return words + ("; ..." if len(places) > most else "")
