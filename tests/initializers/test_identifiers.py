"""An initializer is what a user typed."""

import inspect

import pytest

from kerasinit import initializers
from kerasinit._src.initializers.identifiers import parse

from .table import TABLE


@pytest.mark.parametrize("name", initializers.__all__)
def test_every_initializer_has_a_name(name):
    parameters = inspect.signature(getattr(initializers, name)).parameters.values()
    if required := [one.name for one in parameters if one.default is one.empty]:
        (case,) = (case for case in TABLE if case.name == name)
        typed = f"{name}:" + ",".join(f"{one}={case.arguments[one]}" for one in required)
    else:
        typed = name
    assert type(parse(typed)) is getattr(initializers, name)
    assert type(parse(f"kerasinit>{typed}")) is getattr(initializers, name)


def test_arguments_follow_a_colon():
    config = parse("VarianceScaling:scale=2,mode=fan_out,distribution=uniform,seed=7").get_config()

    assert (config["scale"], config["mode"], config["distribution"]) == (2, "fan_out", "uniform")
    assert config["seed"] == 7


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("HeNrmal", "Did you mean 'HeNormal'"),
        ("HeNormal:3", "Expected argument=value"),
        ("HeNormal:sede=3", "unexpected keyword argument 'sede'"),
        ("RandomNormal:stddev=-1", "stddev=-1"),
        ("__class__", "Unknown initializer"),
    ],
)
def test_what_cannot_be_made_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        parse(text)
