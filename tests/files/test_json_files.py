"""JSON is read with limits, and every error names the file."""

import json

import pytest

from kerasinit import lottery, variables_in
from kerasinit._src.files import json_files, keras_models
from kerasinit._src.lottery.questions import answers
from kerasinit._src.lottery.store.stage import Place
from tests.lottery.synthetic import RESULTS, store_of

# Within what Python's own parser can take and beyond it.
DEPTHS = (json_files.MAX_DEPTH + 1, 900, 100_000)


def _nested(depth):
    return '{"a": ' * depth + "1" + "}" * depth


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_is_nested_too_deeply_is_refused(tmp_path, depth):
    path = tmp_path / "deep.json"
    path.write_text(_nested(depth))

    for read in (json_files.read, answers.read_json):
        with pytest.raises(ValueError, match=r"deep\.json is damaged: it is nested more than 100"):
            read(path)
    path.write_text(_nested(json_files.MAX_DEPTH))
    assert json_files.read(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"{", "damaged"),
        (b"[1]", "it contains list, not an object"),
        (b"\xff\xfe", "damaged"),
        (b'{"a": ' + b"9" * 5000 + b"}", "damaged"),
        (b" " * (json_files.MAX_BYTES + 1), "the limit is 1048576"),
    ],
    ids=["cut off", "list", "no text", "a long number", "large"],
)
def test_what_is_no_object_is_refused(tmp_path, content, match):
    (tmp_path / "x.json").write_bytes(content)

    with pytest.raises(ValueError, match=rf"x\.json is damaged.*{match}|{match}"):
        json_files.read(tmp_path / "x.json")


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_file_of_a_run_is_damaged_and_ends_no_process(tmp_path, depth):
    store = store_of(tmp_path / "run", RESULTS)
    result = store.path(Place(0, 1, "ticket")) / "result.json"
    result.write_text(_nested(depth))

    for read in (lottery.table, lottery.rows, lottery.verdict):
        with pytest.raises(ValueError, match=r"ticket/result\.json is damaged"):
            read(store.folder)
    with pytest.raises(ValueError, match=r"ticket/result\.json is damaged"):
        lottery.digest(store, partial=True)
    assert any(f.file == "result.json" for f in lottery.verify(store.folder).findings)

    (store.folder / "experiment.json").write_text(_nested(depth))
    for read in (lottery.table, lottery.rows, lottery.verdict, lottery.digest):
        with pytest.raises(ValueError, match=r"experiment\.json is damaged"):
            read(store.folder)
    (finding, *_) = lottery.verify(store.folder).findings
    assert finding.file == "experiment.json"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"levels": "3"}, "levels"),
        ({"levels": 10**9}, "declares 4000000004 trainings"),
        ({"levle": 3}, "levle"),
        ({"controls": 3}, "controls"),
    ],
)
def test_an_experiment_that_cannot_be_is_named_with_its_file(tmp_path, change, match):
    store = store_of(tmp_path / "run", RESULTS)
    path = store.folder / "experiment.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"experiment": content["experiment"] | change}))

    with pytest.raises(ValueError, match=rf"experiment\.json is damaged: .*{match}"):
        lottery.table(store.folder)


def test_a_deep_description_of_a_model_is_damaged(tmp_path):
    import zipfile

    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", _nested(100_000))
        archive.writestr("config.json", _nested(100_000))
        archive.writestr("model.weights.h5", b"")

    for read in (keras_models.load_model, variables_in):
        with pytest.raises(ValueError, match=r"deep\.keras"):
            read(path)
