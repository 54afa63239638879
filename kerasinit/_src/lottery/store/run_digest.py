"""One digest of everything in a run's results."""

import hashlib
import json
from dataclasses import asdict

from kerasinit._src.files.tensors import TICKET, VERSIONS
from kerasinit._src.lottery.store.stage import Stage
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.lottery.store.ticket import read_tensors


def digest(run: Run, *, partial: bool = False) -> str:
    """Return the digest of a run: equal numbers, to the last bit, have equal digests.

    It covers the experiment, the examples, and for each training every array (masks,
    weights, the rewind point, the optimizer's moments), the curve and the result. It does not
    depend on time, path, versions or order of files, so that a run that was killed and resumed has
    the digest of an uninterrupted one. Two things are left out: the duration of a training, and
    ``model.keras``, an archive with dates in it, whose weights are those of
    ``trained.safetensors`` (`kerasinit.lottery.verify` compares them).

    Published with a result, it fixes numbers that only a new run could contradict, such as the
    accuracies.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        partial: Whether to digest the finished trainings of an unfinished run; False by default.

    Returns:
        The SHA-256, in hexadecimal.

    Raises:
        ValueError: If the run is not finished (unless ``partial``), or a file is damaged.

    Example:
    >>> from kerasinit import lottery
    >>> len(lottery.digest("RUN"))
    64
    """
    store = Store.of(run)
    missing = store.missing()
    if missing and not partial:
        listed = "; ".join(map(str, missing[:3])) + ("; ..." if len(missing) > 3 else "")
        raise ValueError(
            f"{store.folder} is not finished: {len(missing)} of {len(store.places())} trainings "
            f"are missing ({listed}). Repeat the command that made it, or digest the finished "
            f"ones with --partial."
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
            # The version at which the first digests were published.
            about["version"] = VERSIONS[0]
        _add(sha, path.name, _json(about))
        for name, array in sorted(arrays.items()):
            _add(sha, f"{name} {array.dtype} {array.shape}", array.tobytes())
    _add(sha, "curve", stage.curve_text())
    # The row is the result without its duration.
    _add(sha, "result", _json(asdict(stage.row())))


def _add(sha: "hashlib._Hash", name: str, content: bytes) -> None:
    """Add a part under its name; length prefixes keep the parts apart."""
    for part in (name.encode(), content):
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
