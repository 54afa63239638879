"""What `compat/calls`, `compat/restore` and `pruning/attach` rely on holds in this Keras."""

import ast
from pathlib import Path

import keras
import pytest

from tests.benchmarks import nightly
from tests.kerases import INSTALLED

ROOM = Path(__file__).parents[1] / "kerasinit" / "_src"
# What Keras looks up on a model, an optimizer or a weight, and what stands in front of it here.
LOOKED_UP = {
    *("call", "build", "fit", "evaluate", "predict", "get_weights", "set_weights", "load_weights"),
    *("train_step", "train_function", "test_function", "predict_function"),
    *("make_train_function", "make_test_function", "make_predict_function"),
    *("constraint", "update_step", "epsilon"),
}


@pytest.mark.parametrize(
    ("text", "library"),
    [(text, one) for text, (_, both) in nightly.ASSUMPTIONS.items() for one in both],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_assumption_holds(text, library):
    check, _ = nightly.ASSUMPTIONS[text]
    check(library)


def test_the_script_reports_what_has_moved(monkeypatch, capsys):
    few = {text: nightly.ASSUMPTIONS[text] for text in list(nightly.ASSUMPTIONS)[:1]}
    monkeypatch.setattr(nightly, "ASSUMPTIONS", few)
    assert nightly.main() == 0

    def not_by_the_instance(self, x):
        if not self.built:
            self.build(x.shape)
        return type(self).call(self, x)

    monkeypatch.setattr(keras.layers.Dense, "__call__", not_by_the_instance)
    assert nightly.main() == 1
    lines = capsys.readouterr().out.splitlines()
    words = [line.split()[0] for line in lines]
    others = ["holds"] * (len(INSTALLED) - 1)
    assert words == ["keras", "holds", *others, "keras", "MOVED", *others]
    assert "0 of 2 calls were seen" in next(line for line in lines if line.startswith("MOVED"))


def assigned(tree):
    """Yield the names of attributes that a module assigns to anything but ``self``."""
    for node in ast.walk(tree):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) != "self":
                yield target.attr
            # vars(layer)["call"] = ...
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield target.slice.value


def test_nothing_else_assigns_what_keras_looks_up():
    found = {
        path.relative_to(ROOM).as_posix(): names
        for path in ROOM.rglob("*.py")
        if (names := LOOKED_UP & {*assigned(ast.parse(path.read_text("utf-8")))})
    }
    assert found.pop("pruning/attach.py") == {
        *("build", "constraint", "epsilon", "train_function"),
    }
    assert found.pop("compat/calls.py") == {"call"}
    assert found == {}
