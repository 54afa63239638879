"""What a release wrote is read by this one; see docs/compatibility.md."""

import json

import numpy as np
import pytest
from packaging.version import Version

import kerasinit
from kerasinit.lottery import report
from tests.golden import files, recipes, write
from tests.initializers.test_golden import BY_LAPACK
from tests.kerases import INSTALLED, KERASES, has_keras

GOLDEN = [(release, name) for release in files.RELEASES for name in files.expected(release)]
IDS = ["-".join(pair) for pair in GOLDEN]
ALL = {release: files.expected(release) for release in files.RELEASES}


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """Return a function that unpacks golden files, each of them once."""
    folder = tmp_path_factory.mktemp("golden")

    def unpack(release, name):
        written = Version(Version(ALL[release][name]["keras"]).base_version)
        if name.startswith("keras/") and not has_keras(str(written)):
            pytest.skip(f"Keras {written} wrote {name}, and an earlier one need not read it")
        return files.unpacked(release, name, folder / release)

    return unpack


def library_of(name):
    """Return the name of the Keras that wrote a golden file; none of what is not a model's."""
    library, slash, _ = name.partition("/")
    return KERASES[library].__name__ if slash else ""


@pytest.mark.parametrize(("release", "name"), GOLDEN, ids=IDS)
def test_a_golden_file_holds_what_was_written(release, name, unpacked):
    library = library_of(name)
    found = files.read(unpacked(release, name), library)

    # Through JSON, so that tuples and lists compare equal.
    found = json.loads(json.dumps(found))
    assert files.missing(found, ALL[release][name]["holds"]) == []


WEIGHTS = [(release, name) for release, name in GOLDEN if name.endswith(".weights.h5")]


@pytest.mark.parametrize(("release", "name"), WEIGHTS, ids=map("-".join, WEIGHTS))
def test_golden_weights_go_into_the_model_that_had_them(release, name, unpacked):
    library = library_of(name)
    whole = name.replace(".weights.h5", ".keras")
    model = files.load(unpacked(release, whole), library)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])

    model.load_weights(unpacked(release, name))

    found = [files.digest(array) for array in model.get_weights()]
    assert found == ALL[release][whole]["holds"]["weights"]


DRAWN = [(release, name) for release, name in GOLDEN if "initializers" in name]
DRAWN = [(release, name) for release, name in DRAWN if name.endswith("s.keras")]


@pytest.mark.parametrize(("release", "name"), DRAWN, ids=map("-".join, DRAWN))
def test_initializers_in_a_golden_file_draw_what_they_drew(release, name, unpacked):
    model = files.load(unpacked(release, name), library_of(name))

    pairs = files.redrawn(model)
    assert len(pairs) > 25
    for kind, (again, stored) in pairs.items():
        tolerance = 1e-4 if kind in BY_LAPACK else 1e-6
        np.testing.assert_allclose(again, stored, rtol=0, atol=tolerance, err_msg=kind)


@pytest.mark.parametrize("release", files.RELEASES)
def test_the_tables_of_a_golden_run_are_written_as_they_were(release, unpacked, tmp_path):
    run = unpacked(release, "run")
    report.write_csv(run, tmp_path / "rows.csv")
    report.write_curves(run, tmp_path / "curves.csv")

    for name in ("rows.csv", "curves.csv"):
        wanted = ALL[release][name]["holds"]
        assert len(wanted["lines"]) > 5
        assert files.missing(files.read(tmp_path / name), wanted) == []


@pytest.mark.parametrize("module", INSTALLED)
def test_every_registered_class_is_in_a_golden_file_of_each_format(module):
    registered = module.saving.get_custom_objects().items()
    classes = {kind.__qualname__ for name, kind in registered if name.startswith("kerasinit>")}
    assert {"HeNormal", "WinningTicket"} <= classes

    for ending in (".keras", ".h5"):
        written = set()
        for contents in ALL.values():
            chosen = {
                name: one
                for name, one in contents.items()
                if name.startswith(f"{module.__name__}/") and name.endswith(ending)
            }
            written |= files.classes_in(chosen)
        assert classes - written == set(), "python -m tests.golden.write; see CONTRIBUTING.md"


def test_what_is_on_disk_is_what_is_expected():
    for release, contents in ALL.items():
        folder = files.HERE / release
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
        found = {name.removesuffix(".gz").removesuffix(".tar") for name in found}
        assert found == {*contents, "expected.json", "names.txt"}


def test_other_contents_are_noticed():
    wanted = {"layers": {"a": {"config": {"seed": 1}}}, "weights": ["x", "y"]}

    assert files.missing(wanted | {"more": 1}, wanted) == []
    assert files.missing({"layers": {}, "weights": ["x", "y"]}, wanted) == ["/layers/a is missing"]
    for weights in (["x"], ["x", "y", "z"], ["x", "Y"]):
        assert len(files.missing(wanted | {"weights": weights}, wanted)) == 1


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Return a folder for golden files in which only two small ones are made."""
    (tmp_path / "0.1").mkdir()
    monkeypatch.setattr(write, "HERE", tmp_path)
    monkeypatch.setattr(files, "HERE", tmp_path)
    made = recipes.makers([])
    chosen = {name: made[name] for name in ("addresses.txt", "experiment.toml")}
    monkeypatch.setattr(recipes, "makers", lambda *_: chosen)
    return tmp_path


def test_a_golden_file_is_not_written_twice(elsewhere, tmp_path_factory, capsys):
    write.write_files("0.1", tmp_path_factory.mktemp("first"))
    target = elsewhere / "0.1" / "addresses.txt"
    target.write_text("depth=3\n")

    write.write_files("0.1", tmp_path_factory.mktemp("second"))

    assert target.read_text() == "depth=3\n"
    assert "Kept 0.1/addresses.txt" in capsys.readouterr().err


def test_a_file_that_nobody_expects_is_not_overwritten(elsewhere, tmp_path_factory):
    target = elsewhere / "0.1" / "experiment.toml"
    target.write_text("levels = 1\n")

    with pytest.raises(FileExistsError):
        write.write_files("0.1", tmp_path_factory.mktemp("first"))

    assert target.read_text() == "levels = 1\n"


def test_this_release_has_golden_files():
    assert write.RELEASE in files.RELEASES
    assert kerasinit.__version__.startswith(f"{write.RELEASE}.")
