"""What is public stays: names, parameters, commands and options; see docs/compatibility.md."""

import pytest

from tests.golden import names, write
from tests.golden.files import HERE

LISTS = sorted(HERE.glob("*/names.txt"))


@pytest.fixture(scope="module")
def now():
    return names.public_names()


@pytest.mark.parametrize("path", LISTS, ids=[path.parent.name for path in LISTS])
def test_public_names_of_a_release_are_there(path, now):
    old = path.read_text("utf-8").splitlines()
    broken = names.broken(old, now)

    assert len(old) > 500
    assert not broken, "\n".join(
        [*broken, "docs/compatibility.md says how a public name is deprecated and then removed."]
    )


def test_this_release_has_its_list():
    assert HERE / write.RELEASE / "names.txt" in LISTS


@pytest.mark.parametrize(
    "line",
    [
        "kerasinit.diagnose(model, x, y=, loss=, *, seeds=)",
        "kerasinit.lottery.Ticket.apply(model)",
        "kerasinit.diagnosis.Diagnosis.findings",
        "kerasinit.pruning.ConstantSparsity(target_sparsity, begin_step)",
        "$ kerasinit lottery digest --partial",
    ],
)
def test_functions_classes_methods_attributes_and_options_are_listed(line, now):
    assert names.broken([line], now) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("a.f(x)", "a.g(x)", "is gone"),
        ("a.f(x, y=)", "a.f(x)", "has no y"),
        ("a.f(x, y=)", "a.f(x, z=)", "has no y"),
        ("a.f(x=, y=)", "a.f(y=, x=)", "order"),
        ("a.f(x=, y=)", "a.f(x=, new=, y=)", "order"),
        ("a.f(x, y=)", "a.f(x, *, y=)", "order"),
        ("a.f(x, y=)", "a.f(x, y)", "needs y"),
        ("a.f(x)", "a.f(x, *, new)", "needs new"),
        ("a.f(x)", "a.f", "can be called or not"),
        ("a.f", "a.f(x)", "can be called or not"),
        ("$ k run --a --b", "$ k run --b", "has no --a"),
        ("$ k run --a", "$ k walk --a", "is gone"),
    ],
)
def test_what_breaks_a_call_is_noticed(old, new, reason):
    (sentence,) = names.broken([old], [new, "a.other"])

    assert reason in sentence


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a.f(x)", "a.f(x, new=)"),
        ("a.f(x, *, y=)", "a.f(x, *, new=, y=)"),
        ("a.f(x, *, y=)", "a.f(x, y=)"),
        ("a.f(x)", "a.f(x, *more, **others)"),
        ("a.f(x, y)", "a.f(x, y=)"),
        ("a.f", "a.f"),
        ("$ k run --a", "$ k run --a --new"),
    ],
)
def test_what_calls_do_not_notice_is_allowed(old, new):
    assert names.broken([old], [new, "a.new(x)"]) == []


def test_names_of_a_release_that_is_out_are_not_recorded_anew(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "tests" / "golden"
    (folder / "0.1").mkdir(parents=True)
    path = folder / "0.1" / "names.txt"
    path.write_text("kerasinit.gone()\n")
    monkeypatch.setattr(write, "HERE", folder)

    (tmp_path / "CHANGELOG.md").write_text("## 0.1.0 - 2027-01-31\n")
    write.write_names("0.1")
    assert path.read_text() == "kerasinit.gone()\n"
    assert "Kept" in capsys.readouterr().err
    # Nor can the next release do without them.
    (folder / "0.2").mkdir()
    with pytest.raises(ValueError, match=r"Not as in 0\.1:\nkerasinit\.gone is gone"):
        write.write_names("0.2")


def test_names_of_a_release_to_come_are_recorded_anew(tmp_path, monkeypatch, now):
    folder = tmp_path / "tests" / "golden"
    (folder / "0.1").mkdir(parents=True)
    path = folder / "0.1" / "names.txt"
    path.write_text("kerasinit.never_out()\n")
    monkeypatch.setattr(write, "HERE", folder)

    (tmp_path / "CHANGELOG.md").write_text("## Unreleased\n")
    write.write_names("0.1")

    assert path.read_text().splitlines() == now
