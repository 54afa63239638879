"""What Keras' layers are called stands in the catalogue, and what tf_keras is in a few files."""

import ast
import pathlib

import kerasinit

PACKAGE = pathlib.Path(kerasinit.__file__).parent
# Rules that are about the layers that they name, and code that makes layers.
EXCEPTIONS = {
    "_src/compat/models.py",  # the wrapper of tfmot
    "_src/compat/quantization.py",  # how an EinsumDense is packed
    "_src/compat/training.py",  # which layers keep states
    "_src/network/signal_roles.py",  # the arguments of Activation and ReLU
    "_src/playground/networks.py",  # the networks of the playground
    "_src/pruning/inventory.py",  # what SpectralNormalization keeps
    "_src/pruning/policy.py",  # what XNNPACK runs
    "_src/training/paper_networks.py",  # networks of papers
    "_src/whole_models/from_batch/moment_propagation.py",  # the theory of LayerNormalization
}


def layers_named_in(source):
    """Return the layer classes that a module names in its code."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            if node.value.attr == "layers" and node.attr[0].isupper():
                names.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("layer_classes"):
            names |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    return names - {"Layer"}


def imports_tf_keras(source):
    return any(
        name.partition(".")[0] == "tf_keras"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(one.name for one in node.names)]
    )


def files_that(tell):
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if tell(path.read_text(encoding="utf-8"))
    }


def test_layer_classes_are_named_in_the_catalogue_and_in_rules_about_one():
    assert files_that(layers_named_in) == EXCEPTIONS


def test_few_files_import_tf_keras():
    assert len(files_that(imports_tf_keras)) <= 12


def test_what_names_a_class_or_imports_tf_keras_is_seen():
    assert layers_named_in("x = isinstance(y, keras.layers.Dense | tf_keras.layers.Layer)")
    assert layers_named_in('compat.layer_classes("Dense", "Conv2D")') == {"Dense", "Conv2D"}
    assert not layers_named_in("model.layers.append(keras.layers.Layer)")
    assert imports_tf_keras("from tf_keras import layers")
    assert imports_tf_keras("def f():\n    import tf_keras.layers")
    assert not imports_tf_keras("import keras")
