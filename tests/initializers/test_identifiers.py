"""An initializer is what a user typed."""

import pytest

from kerasinit import initializers
from kerasinit.initializers.identifiers import parse

# What some cannot do without.
ARGUMENTS = {"Chrono": ":units=4,max_time=50", "ForgetBias": ":units=4"}


@pytest.mark.parametrize("name", initializers.__all__)
def test_every_initializer_has_a_name(name):
    text = name + ARGUMENTS.get(name, "")
    assert type(parse(text)) is getattr(initializers, name)
    assert type(parse(f"kerasinit>{text}")) is getattr(initializers, name)


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
