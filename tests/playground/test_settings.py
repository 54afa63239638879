"""Settings are declared once: checks, form, address and dictionary agree."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit import initializers
from kerasinit._src.initializers import identifiers
from kerasinit._src.playground import settings as declared
from kerasinit.playground import Settings, SideSettings


def values_of(cls):
    """Return a strategy for the constructor's arguments of a class of settings."""
    strategies = {}
    for field in dataclasses.fields(cls):
        limits = field.metadata
        if not limits or field.name in ("depth", "width"):
            continue
        if "choices" in limits:
            strategies[field.name] = st.sampled_from(limits["choices"])
        elif field.type is bool:
            strategies[field.name] = st.booleans()
        elif field.type is int:
            strategies[field.name] = st.integers(limits["low"], limits["high"])
        elif field.type is float:
            strategies[field.name] = st.floats(limits["low"], limits["high"])
        elif field.name == "bias":
            strategies[field.name] = st.sampled_from(["Zeros", "Constant:value=0.1"])
        else:
            texts = ["HeNormal", "RandomNormal:stddev=0.01", "VarianceScaling:scale=2,mode=fan_in"]
            strategies[field.name] = st.sampled_from([*texts, *declared.METHODS])
    return st.fixed_dictionaries(strategies)


@given(values_of(Settings), values_of(SideSettings), values_of(SideSettings), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_an_address_and_a_dictionary_give_the_same_settings_back(shared, left, right, depth):
    given_settings = Settings(
        **shared, depth=depth, width=64, left=SideSettings(**left), right=SideSettings(**right)
    )

    assert Settings.from_address(given_settings.to_address()) == given_settings
    assert Settings.from_dict(given_settings.to_dict()) == given_settings


def test_what_an_address_leaves_out_has_its_default():
    found = Settings.from_address("depth=3&right.activation=tanh")

    assert found == Settings(
        depth=3, right=dataclasses.replace(Settings().right, activation="tanh")
    )
    assert Settings.from_address("") == Settings()


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"depth": 1000}, "from 1 to 50 as depth; got 1000"),
        ({"depth": 50, "width": 256}, "Depth 50 times width 256 is 12800; expected at most 3200"),
        ({"depth": 2.5}, "a whole number as depth; got 2.5"),
        ({"depth": True}, "a whole number as depth; got True"),
        ({"residual": "yes"}, "true or false as residual; got 'yes'"),
        ({"learning_rate": float("nan")}, "as learning rate; got nan"),
        ({"data": "moon"}, "Did you mean 'moons'"),
        ({"dpeth": 3}, "Unknown setting 'dpeth'. Did you mean 'depth'"),
        ({"left": {"activatoin": "relu"}}, "Unknown setting 'left.activatoin'"),
        ({"left": {"initializer": "__import__('os').system('true')"}}, "Unknown initializer"),
        ({"left": {"initializer": "HeNormel"}}, "Did you mean 'HeNormal'"),
        ({"left": {"initializer": "RandomNormal:stddev=-1"}}, "at least 0"),
        ({"left": {"initializer": "RandomNormal:sd=1"}}, "Cannot create the initializer"),
        ({"left": {"initializer": "FromModel:path=/etc/passwd"}}, "must not open your files"),
        ({"left": {"initializer": "kerasinit>WinningTicket"}}, "must not open your files"),
        ({"left": {"initializer": "x" * 201}}, "at most 200 characters as initializer; got 201"),
        ({"left": {"bias": "lsuv"}}, "Unknown initializer 'lsuv'"),
        ({"left": "HeNormal"}, "Expected names and values as left.; got 'HeNormal'"),
        ([], "Expected names and values as settings"),
    ],
)
def test_wrong_settings_are_refused_in_words(given_values, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        Settings.from_dict(given_values)

    assert message in str(caught.value)


def test_an_address_from_a_stranger_is_refused_in_words():
    with pytest.raises(ValueError, match="Unknown setting 'evil'"):
        Settings.from_address("evil=1")
    with pytest.raises(TypeError, match="Expected a whole number as depth; got 'inf'"):
        Settings.from_address("depth=inf")
    with pytest.raises(TypeError, match="Expected a number as learning rate; got 'nan'"):
        Settings.from_address("learning_rate=nan")


def test_every_initializer_is_admitted_or_has_a_reason_why_not():
    names = {*initializers.__all__} & {*identifiers.CLASSES}

    assert {*declared.admitted()} | {*declared.NOT_HERE} == names
    assert not {*declared.admitted()} & {*declared.NOT_HERE}


def test_no_admitted_initializer_takes_a_path():
    for name in declared.admitted():
        for argument in ("path", "model", "file", "ticket"):
            with pytest.raises(ValueError, match="Cannot create"):
                declared.initializer_of(f"{name}:{argument}=x")


def test_the_form_has_each_setting_with_its_default():
    shown = declared.form()

    assert {f["name"]: f["default"] for f in shown["shared"]} == {
        name: value for name, value in Settings().to_dict().items() if name not in ("left", "right")
    }
    assert [field["name"] for field in shown["side"]] == list(Settings().to_dict()["left"])
    assert {field["kind"] for field in shown["shared"]} == {"str", "float", "int", "bool"}
