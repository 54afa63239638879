"""The digest of a run: it follows every number, and nothing else."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.files.tensors import write_tensors
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from tests.lottery.blobs import blobs, builder

SMALL = lottery.Experiment(
    iterations=20, levels=1, trials=1, batch_size=20, evaluate_every=10, xla=False
)


def _run(out, experiment=SMALL, **options):
    return lottery.run(experiment, out=out, build=builder(), data=blobs(), **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, for tests that only read."""
    return _run(tmp_path_factory.mktemp("digest") / "run")


@pytest.fixture
def copied(finished, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Store.read(tmp_path / "copy")


def test_a_killed_run_that_went_on_has_the_digest_of_one_that_was_left_alone(finished, tmp_path):
    class Killer(lottery.Watch):
        def point(self, place, point):
            if place == Place(0, 1, "ticket") and point.iteration == 10:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", watch=Killer())
    resumed = _run(tmp_path / "killed")

    assert lottery.digest(resumed) == lottery.digest(finished)


def test_time_versions_places_and_the_dates_in_an_archive_do_not_count(finished, copied):
    stage = copied.stage(Place(0, 1, "ticket"))
    path = stage.folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 12345.0}))
    stage.model_path.write_bytes(b"another archive")
    copied.about["versions"]["keras"] = "9"

    assert lottery.digest(copied) == lottery.digest(finished)


@pytest.mark.parametrize("name", ["ticket", "trained", "optimizer"])
@pytest.mark.parametrize("branch", ["ticket", "reinit"])
def test_every_bit_of_every_array_counts(finished, copied, branch, name):
    path = copied.path(Place(0, 1, branch)) / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert lottery.digest(copied) != lottery.digest(finished)


def test_names_shapes_and_words_of_arrays_count(finished, copied):
    stage = copied.stage(Place(0, 0, "ticket"))
    path = stage.folder / "rewind.safetensors"
    state, seen = stage.state("rewind"), {lottery.digest(finished)}
    kernel = state.pop("dense/kernel")
    for changed, words in (
        ({**state, "dense/kernel": kernel.T.copy()}, None),
        ({**state, "dense/kernel": kernel.view(np.int32)}, None),
        ({**state, "other/kernel": kernel}, None),
        ({**state, "dense/kernel": kernel}, {"a": "word"}),
    ):
        path.unlink()
        write_tensors(path, changed, words)
        seen.add(lottery.digest(copied))

    assert len(seen) == 5


def test_curves_results_settings_and_data_count(finished, copied):
    seen = {lottery.digest(finished)}
    folder = copied.path(Place(0, 1, "reinit"))
    for name, old, new in (
        ("curve.csv", "20,", "30,"),
        ("result.json", '"trial": 0', '"trial": 1'),
    ):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
        seen.add(lottery.digest(copied))
    copied.experiment = replace(copied.experiment, seed=5)
    seen.add(lottery.digest(copied))
    copied.about["data"] = "others"
    seen.add(lottery.digest(copied))

    assert len(seen) == 5


def test_an_unfinished_run_has_none_unless_asked_for_part(finished, copied):
    shutil.rmtree(copied.path(Place(0, 1, "reinit")))

    with pytest.raises(ValueError, match=r"1 of 3 trainings are missing \(trial 0, level 1"):
        lottery.digest(copied)
    assert lottery.digest(copied, partial=True) != lottery.digest(finished, partial=True)
    assert lottery.digest(finished, partial=True) == lottery.digest(finished)
