"""An experiment says everything that changes a number, and refuses what has no meaning."""

import dataclasses

import pytest

from kerasinit.lottery import Experiment


def test_an_experiment_comes_back_from_its_dictionary():
    experiment = Experiment(levels=3, controls=(), rewind="step:7", initializer="HeNormal")

    assert Experiment.from_dict(experiment.to_dict()) == experiment


def test_every_field_changes_the_digest():
    others = {
        "dataset": "mnist",
        "model": "a.b:c",
        "initializer": "HeNormal",
        "optimizer": "sgd",
        "iterations": 7,
        "levels": 3,
        "one_shot": True,
        "criterion": "movement",
        "scope": "global",
        "rate": 0.3,
        "output_rate": 0.3,
        "layer_rates": {"dense": 0.3},
        "rewind": "step:5",
        "controls": (),
        "control_levels": (2,),
        "trials": 9,
        "seed": 4,
        "batch_size": 7,
        "evaluate_every": 9,
        "validation": 9,
        "xla": False,
    }
    assert set(others) == {field.name for field in dataclasses.fields(Experiment)}
    digests = {Experiment(**{name: value}).digest for name, value in others.items()}

    assert len(digests | {Experiment().digest}) == len(others) + 1


def test_the_digest_is_that_of_before_xla_could_be_left_open():
    assert Experiment().digest == Experiment(xla=True).digest


def test_what_is_not_given_depends_on_the_data():
    assert (Experiment().iterations, Experiment().trials) == (2000, 3)
    assert (Experiment("mnist").iterations, Experiment("mnist").trials) == (50_000, 1)
    assert (Experiment("a.npz").iterations, Experiment("a.npz").trials) == (10_000, 1)
    assert Experiment(iterations=5, trials=2).iterations == 5


def test_differences_name_the_options():
    assert Experiment(output_rate=0.2).differences(Experiment(seed=3)) == [
        "--output-rate is 0.1 there and 0.2 here",
        "--seed is 3 there and 0 here",
    ]


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"iterations": 0}, "--iterations must be a whole number of at least 1; got 0"),
        ({"levels": -1}, "--levels must be a whole number of at least 0"),
        ({"levels": True}, "got True"),
        ({"trials": 1.5}, "--trials must be a whole number"),
        ({"seed": -3}, "--seed must be a whole number of at least 0"),
        ({"rate": 0}, "--rate must lie between 0 and 1"),
        ({"rate": float("nan")}, "--rate must lie between 0 and 1"),
        ({"output_rate": 1.0}, "--output-rate must lie between 0 and 1"),
        ({"rate": "0.2"}, "--rate must be a number"),
        ({"controls": ("renit",)}, "Unknown control 'renit'. Did you mean 'reinit'"),
        ({"controls": ("reinit", "reinit")}, "has duplicates"),
        ({"rewind": "inti"}, "Unknown rewind 'inti'. Did you mean 'init'"),
        ({"rewind": "step:0"}, "K is at least 1"),
        ({"rewind": "step:2000"}, "leaves nothing to train"),
        ({"xla": "no"}, "--xla is yes or no"),
        ({"one_shot": 1}, "--one-shot is yes or no; got 1"),
        ({"criterion": "magnitud"}, "Unknown criterion 'magnitud'. Did you mean 'magnitude'"),
        ({"scope": "erq"}, "Unknown scope 'erq'. Did you mean 'erk'"),
        ({"rewind": "lr:2000"}, "leaves nothing to train"),
        ({"dataset": 3}, "--dataset must be text; got 3"),
        ({"optimizer": 0.1}, "--optimizer must be text"),
        ({"controls": "reinit"}, "--controls is a list, as in reinit,shuffle; got 'reinit'"),
        ({"control_levels": (1.0,)}, "--control-levels is a list, as in 7,9,11"),
        ({"control_levels": (True,)}, "--control-levels is a list"),
        ({"control_levels": (2, 2)}, "has duplicates: 2, 2"),
        ({"control_levels": (9,)}, "has 9; pruned levels range from 1 to 8"),
        ({"control_levels": (0,)}, "has 0; pruned levels"),
        ({"layer_rates": {"dense": 1.5}}, "--layer-rates dense must lie between 0 and 1"),
        ({"layer_rates": {"dense": "0.5"}}, "--layer-rates dense must be a number"),
        ({"layer_rates": 0.5}, "--layer-rates maps names to numbers"),
        ({"validation": 0}, "--validation must be a whole number of at least 1"),
    ],
)
def test_a_field_without_a_meaning_is_refused(fields, match):
    with pytest.raises(ValueError, match=match):
        Experiment(**fields)


def test_an_unknown_field_in_a_file_is_refused():
    with pytest.raises(ValueError, match=r"Unknown field of an experiment 'sead'.*'seed'"):
        Experiment.from_dict({"sead": 1})
