"""Whether Torch-Pruning counts and groups the twins of two networks as kerasinit does.

    pip install torch torch-pruning
    python -m tests.benchmarks.torch_pruning

The VGG and the ResNet-20 of the tests, at twice the width, and their twins in PyTorch: the same
layers in the same order, other weights. Neither package is a dependency of kerasinit.

*Parameters*: Torch-Pruning counts what PyTorch trains; the moving means and variances of batch
normalization, which Keras counts, are buffers there. They are left out here, too.

*Multiplications*: for an example, Torch-Pruning's counter adds to those of weights with signals one
for each number that a convolution's or a dense layer's bias is added to, two for each that batch
normalization puts out, one for each that ReLU puts out, and one for each that a pooling layer
reads. Its count for each convolution and dense layer without the bias must be that of
`kerasinit.shrinking.count`, and its sum must be ours with all of this added by the shapes in Keras.

*Groups*: what `DependencyGraph` couples, as sets of a layer's name and whether its outputs or its
inputs are cut, must be the sets of `kerasinit.shrinking.groups`. It does not know that the outputs
of the last layer must stay; that group is one here, too, with a reason.
"""

import math
import sys
from collections import Counter
from typing import Any

import keras

from kerasinit import shrinking
from tests.shrinking import networks


def main() -> int:
    """Compare both networks, print what was compared, and return the exit status."""
    try:
        import torch_pruning  # noqa: F401 - asks whether it is there
    except ImportError:
        print("It is not installed: pip install torch torch-pruning")
        return 2
    differ = 0
    print("| network | | kerasinit | Torch-Pruning | equal |\n|---|---|---:|---:|---|")
    for name, ours, theirs in (
        ("VGG", networks.NETWORKS["vgg"](keras), torch_vgg()),
        ("ResNet-20", networks.NETWORKS["resnet20"](keras, width=16), torch_resnet20(16)),
    ):
        named = {layer.name: key for key, layer in zip(*_numbered(ours), strict=True)}
        for what, one, other in (
            *counts(ours, theirs, named),
            ("groups", keras_groups(ours, named), torch_groups(theirs, ours.input_shape)),
        ):
            sizes = [len(x) if isinstance(x, set | dict) else x for x in (one, other)]
            print(f"| {name} | {what} | {sizes[0]} | {sizes[1]} | {one == other} |")
            differ += one != other
            if one != other and isinstance(one, set | dict):
                print(f"  only kerasinit: {_without(one, other)}")
                print(f"  only Torch-Pruning: {_without(other, one)}")
    return int(differ > 0)


def _without(one: Any, other: Any) -> list[Any]:
    entries = one.items() if isinstance(one, dict) else one
    others = other.items() if isinstance(other, dict) else other
    return sorted(map(str, set(entries) - set(others)))


def _numbered(model: Any) -> tuple[list[str], list[Any]]:
    """Return the layers of a Keras model that its twin has, and the twin's names for them."""
    layers, kinds = keras.layers, {}
    kinds[layers.Conv2D], kinds[layers.Dense] = "conv", "dense"
    kinds[layers.BatchNormalization], kinds[layers.ReLU] = "norm", "relu"
    kinds[layers.MaxPooling2D] = kinds[layers.GlobalAveragePooling2D] = "pool"
    seen: Counter[str] = Counter()
    names, found = [], []
    # In the order in which they were made, which Keras' numbers tell, not that of the graph.
    for layer in sorted(model.layers, key=_number):
        kind = kinds.get(type(layer))
        if kind is None:
            continue
        names.append(f"{kind}_{seen[kind]}")
        found.append(layer)
        seen[kind] += 1
    return names, found


def _number(layer: Any) -> int:
    number = layer.name.rsplit("_", 1)[-1]
    return int(number) if number.isdecimal() else 0


def counts(ours: Any, theirs: Any, named: dict[str, str]) -> list[tuple[str, Any, Any]]:
    """Return parameters and multiplications as both count them."""
    import torch
    import torch_pruning as tp

    x = torch.zeros(1, *_channels_first(ours.input_shape))
    macs, parameters, by_module, _ = tp.utils.count_ops_and_params(theirs, x, layer_wise=True)
    found = shrinking.count(ours)
    with_kernels = [named[one.name] for one in ours.layers if hasattr(one, "kernel")]
    by_layer = dict(zip(with_kernels, [one.macs for one in found.layers if one.macs], strict=True))
    outputs = {one.name: math.prod(one.output.shape[1:]) for one in ours.layers}
    with_bias = {
        named[one.name]: outputs[one.name] for one in ours.layers if getattr(one, "use_bias", False)
    }
    names = {module: name for name, module in theirs.named_modules()}
    without_bias = {
        names[module]: count - with_bias.get(names[module], 0)
        for module, count in by_module.items()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    statistics = sum(math.prod(one.shape) for one in ours.non_trainable_variables)
    return [
        ("parameters", found.parameters - statistics, parameters),
        ("multiplications by layer", by_layer, without_bias),
        ("multiplications", found.macs, sum(without_bias.values())),
        ("and all else", found.macs + sum(with_bias.values()) + others(ours), macs),
    ]


def others(model: Any) -> int:
    """Return what Torch-Pruning counts for normalizations, activations and pools."""
    layers, total = keras.layers, 0
    for layer in model.layers:
        if isinstance(layer, layers.MaxPooling2D | layers.GlobalAveragePooling2D):
            total += math.prod(layer.input.shape[1:])
        elif isinstance(layer, layers.BatchNormalization):
            total += 2 * math.prod(layer.output.shape[1:])
        activation = getattr(layer, "activation", None)
        if isinstance(layer, layers.ReLU) or activation is keras.activations.relu:
            total += math.prod(layer.output.shape[1:])
    return total


def keras_groups(model: Any, named: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    """Return the groups as sets of a layer's name and ``out`` or ``in``."""
    layer_of = {id(one): layer.name for layer in model.layers for one in layer.variables}
    return {
        frozenset(
            (named[layer_of[id(one.variable)]], one.role)
            for one in group.slices
            if one.role != "statistic"
        )
        for group in shrinking.groups(model)
    }


def torch_groups(model: Any, shape: tuple[Any, ...]) -> set[frozenset[tuple[str, str]]]:
    """Return the groups of Torch-Pruning in the same form."""
    import torch
    import torch_pruning as tp

    x = torch.zeros(1, *_channels_first(shape))
    graph = tp.DependencyGraph().build_dependency(model, x)
    weighted = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d)
    names = {module: name for name, module in model.named_modules()}
    found = set()
    for group in graph.get_all_groups(root_module_types=[torch.nn.Conv2d, torch.nn.Linear]):
        members = set()
        for dependency, _ in group:
            if isinstance(dependency.target.module, weighted):
                is_out = graph.is_out_channel_pruning_fn(dependency.handler)
                is_norm = isinstance(dependency.target.module, torch.nn.BatchNorm2d)
                role = "out" if is_out or is_norm else "in"
                members.add((names[dependency.target.module], role))
        found.add(frozenset(members))
    return found


def _channels_first(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return shape[3], shape[1], shape[2]


def _twin(forward: Any) -> Any:
    """Return an empty module of PyTorch, to which `_add` adds, that computes ``forward``."""
    import torch

    class Twin(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Twin()


def _add(model: Any, kind: str, module: Any) -> str:
    """Add a module under the name that `_numbered` gives to its twin, and return that."""
    name = f"{kind}_{sum(one.startswith(kind) for one, _ in model.named_children())}"
    model.add_module(name, module)
    return name


def _conv_norm(model: Any, inputs: int, filters: int, size: int, **options: Any) -> list[str]:
    import torch

    options = {"bias": False, "padding": size // 2} | options
    conv = torch.nn.Conv2d(inputs, filters, size, **options)
    norm = torch.nn.BatchNorm2d(filters)
    return [_add(model, "conv", conv), _add(model, "norm", norm)]


def _through(model: Any, names: list[str], x: Any) -> Any:
    for name in names:
        x = model.get_submodule(name)(x)
    return x


def torch_vgg() -> Any:
    """Return the twin of `tests.shrinking.image_networks.vgg`."""
    from torch import nn

    features: list[str] = []
    head: list[str] = []
    model = _twin(lambda self, x: _through(self, head, _through(self, features, x).flatten(1)))
    inputs, size = 3, 16
    for filters in (8, 8, 16, 16):
        features += _conv_norm(model, inputs, filters, 3, bias=filters == 8)
        features.append(_add(model, "relu", nn.ReLU()))
        inputs = filters
        if size > 4:
            features.append(_add(model, "pool", nn.MaxPool2d(2)))
            size //= 2
    head.append(_add(model, "dense", nn.Linear(inputs * size * size, 24)))
    head.append(_add(model, "relu", nn.ReLU()))
    head.append(_add(model, "dense", nn.Linear(24, 5)))
    return model


def torch_resnet20(width: int) -> Any:
    """Return the twin of `tests.shrinking.image_networks.resnet20`."""
    from torch import nn

    def forward(self: Any, x: Any) -> Any:
        x = _through(self, stem, x)
        for body, skip, relu in blocks:
            x = _through(self, [relu], _through(self, body, x) + _through(self, skip, x))
        return _through(self, [head], _through(self, [pool], x).flatten(1))

    model = _twin(forward)
    stem = [*_conv_norm(model, 3, width, 3), _add(model, "relu", nn.ReLU())]
    blocks, inputs = [], width
    for stage in range(3):
        for block in range(3):
            filters, stride = width * 2**stage, 2 if stage and not block else 1
            body = _conv_norm(model, inputs, filters, 3, stride=stride)
            body.append(_add(model, "relu", nn.ReLU()))
            body += _conv_norm(model, filters, filters, 3)
            skip = _conv_norm(model, inputs, filters, 1, stride=stride) if stride > 1 else []
            blocks.append((body, skip, _add(model, "relu", nn.ReLU())))
            inputs = filters
    pool = _add(model, "pool", nn.AdaptiveAvgPool2d(1))
    head = _add(model, "dense", nn.Linear(inputs, 5))
    return model


if __name__ == "__main__":
    sys.exit(main())
