"""Every public name has a complete docstring, and is found under the words that people use."""

import functools
import inspect
import re

import numpy as np
import pytest

from tests.docstrings import Public, complaints, docstring_of, is_plain_record, parse, public_names

NAMES = public_names()
KNOWN = {public.name.rpartition(".")[2]: public for public in reversed(NAMES)}
# What raises nothing of its own, although it takes parameters, and why.
RAISES_NOTHING = {
    "kerasinit.lottery.Store": "only its methods look at the folder",
    "kerasinit.lottery.command": "an experiment was checked when it was created",
    "kerasinit.lottery.to_toml": "an experiment was checked when it was created",
    "kerasinit.shrinking.Groups": "holds what `groups` found",
}
# Rooms, below `_src`, of what is taken from papers, and functions from rooms that are not.
FROM_PAPERS = (
    "diagnosis.entry",
    "diagnosis.monitor",
    "initializers.",
    "lottery.questions.",
    "pruning.schedules",
    "shrinking.planning",
    "theory.",
    "whole_models.from_batch.",
    "whole_models.recommendation",
    "whole_models.rules.",
)
ALSO_FROM_PAPERS = {
    "kerasinit.compute_fans",
    "kerasinit.lottery.Experiment",
    "kerasinit.lottery.Ticket",
    "kerasinit.lottery.prune",
    "kerasinit.lottery.run",
    "kerasinit.lottery.verdict",
    "kerasinit.pruning.PruneForLatencyOnXNNPack",
    "kerasinit.pruning.prune_low_magnitude",
    "kerasinit.shrinking.StructuredPruning",
    "kerasinit.shrinking.export",
    "kerasinit.shrinking.footprint",
}
# Functions of the initializers' room that only turn them into configurations and back.
SERIALIZATION = {"kerasinit.deserialize", "kerasinit.get", "kerasinit.serialize"}


def is_from_a_paper(public):
    if public.kind not in {"class", "function"} or public.name in SERIALIZATION:
        return False
    if inspect.isabstract(public.value) or is_plain_record(public):
        return False
    room = public.value.__module__.removeprefix("kerasinit._src.")
    return public.name in ALSO_FROM_PAPERS or room.startswith(FROM_PAPERS)


def complaints_about(public):
    return complaints(
        public,
        KNOWN,
        needs_paper=is_from_a_paper(public),
        raises_nothing=public.name in RAISES_NOTHING,
    )


def test_every_public_name_has_a_complete_docstring():
    found = {public.name: complaints_about(public) for public in NAMES}
    incomplete = {name: missing for name, missing in found.items() if missing}
    print(f"{len(NAMES) - len(incomplete)} of {len(NAMES)} public names complete")

    assert len(NAMES) > 350
    assert incomplete == {}


def test_the_names_are_those_that_a_user_finds():
    kinds = {public.name: public.kind for public in NAMES}

    assert len(kinds) == len(NAMES)
    assert kinds["kerasinit.HeNormal"] == "class"
    assert kinds["kerasinit.pruning"] == "module"
    assert kinds["kerasinit.diagnosis.KINDS"] == "constant"
    assert kinds["kerasinit.lottery.questions.lmc"] == "function"
    assert kinds["kerasinit.lottery.Ticket.save"] == "method"
    assert kinds["kerasinit.lottery.Store.read"] == "method"  # a class method
    assert kinds["kerasinit.lottery.Ticket.density"] == "property"
    assert kinds["kerasinit.VarianceScaling.variance"] == "method"
    # An alias is the class it stands for, and a base class's method is counted once.
    assert "kerasinit.KaimingNormal" not in kinds
    assert "kerasinit.HeNormal.variance" not in kinds


def test_the_lists_of_exceptions_name_what_exists_and_needs_them():
    by_name = {public.name: public for public in NAMES}

    assert {*RAISES_NOTHING, *ALSO_FROM_PAPERS, *SERIALIZATION} <= set(by_name)
    for name in RAISES_NOTHING:
        assert "no Raises" in complaints(by_name[name], KNOWN)
    rooms = [public.value.__module__ for public in NAMES if public.kind in {"class", "function"}]
    for room in FROM_PAPERS:
        assert any(one.startswith(f"kerasinit._src.{room}") for one in rooms)


def test_the_criteria_of_a_lottery_name_their_papers():
    from kerasinit._src.lottery.method import criteria, saliency, scopes

    functions = [*criteria.FROM_WEIGHTS.values(), *filter(None, scopes.SCOPES.values())]
    functions += [getattr(saliency, name) for name in criteria.FROM_NETWORK]

    assert len(functions) >= 9
    for function in functions:
        assert "http" in parse(function.__doc__).sections.get("Reference", ""), function


GOOD = """Return the sum of the weights.

        Used to show what a docstring has.

        Args:
            weights: An array of shape ``(n,)``.
            scale: Factor of the sum. Defaults to 2.
            name: A name; None for none.

        Returns:
            The sum, a number.

        Raises:
            ValueError: If the scale is negative.

        Example:
        >>> total([1.0])
        2.0

        Reference:
            Gauss, 1801.
        """


def total(weights: np.ndarray, scale: float = 2.0, name: str | None = None) -> float:
    if scale < 0:
        raise ValueError(scale)
    return float(np.sum(weights)) * scale


def planted(docstring, function=total):
    """Return the complaints about a function with a given docstring."""

    @functools.wraps(function)
    def copy(*args, **kwargs):
        return function(*args, **kwargs)

    copy.__doc__ = docstring
    return complaints(Public("planted.total", "function", copy), KNOWN, needs_paper=True)


def test_a_complete_docstring_is_not_complained_about():
    assert planted(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (GOOD, "", "no docstring"),
        ("weights.\n", "weights\n", "the summary does not end with a period"),
        ("the weights.\n", "the\n        weights.\n", "the summary does not fit on a line"),
        ("the weights.", f"the {'long ' * 20}weights.", "the summary does not fit on a line"),
        ("scale: Factor", "factor: Factor", "documents factor, which does not exist"),
        ("scale: Factor", "factor: Factor", "scale is not documented"),
        ("An array of shape ``(n,)``.", "An array.", "weights is an array without a shape"),
        ("An array of shape ``(n,)``.", "", "weights has no text"),
        (" Defaults to 2.", "", "scale has a default that is not mentioned"),
        (" Defaults to 2.", " Defaults to 3.", "scale defaults to 2.0, not to 3"),
        ("; None for none.", ".", "name has a default that is not mentioned"),
        ("Return the sum", "Sum", None),
        (
            "Factor of the sum. Defaults to 2.",
            "See `RandomNormal`.",
            "scale refers to RandomNormal, which does not document it or has another default",
        ),
        ("Raises:\n            ValueError: If the scale is negative.\n", "", "no Raises"),
        ("ValueError: If", "TypeError: If", "Raises lacks ValueError"),
        ("Example:\n        >>> total([1.0])\n        2.0\n", "", "no Example"),
        (">>> total([1.0])", ">>> total([1.0])  # doctest: +SKIP", "an Example that is skipped"),
        (">>> total([1.0])\n        2.0", "See `HeNormal`.", "no Example"),
        ("Reference:\n            Gauss, 1801.\n", "", "no Reference"),
        ("            Gauss, 1801.\n", "", "Reference is empty"),
        ("Gauss, 1801.", "`kerasinit._src.theory`.", "refers to what is not public"),
    ],
)
def test_a_planted_fault_is_found(old, new, complaint):
    assert old in GOOD
    found = planted(GOOD.replace(old, new))

    assert (complaint in found) if complaint else found == []


def test_a_result_that_neither_the_summary_nor_a_section_describes_is_found():
    silent = GOOD.replace("Return the sum", "Sum").replace(
        "Returns:\n            The sum, a number.\n", ""
    )

    assert planted(silent) == ["no Returns"]
    assert planted(silent.replace("Sum of", "Return the sum of")) == []


def test_errors_of_a_check_that_a_method_calls_are_missed_in_its_docstring():
    from kerasinit._src.shrinking.removal_plan import Plan

    plan = next(one for one in NAMES if one.name == "kerasinit.shrinking.Plan.cost")
    assert plan.value is Plan.cost
    text = Plan.cost.__doc__

    assert complaints(plan, KNOWN) == []
    try:
        Plan.cost.__doc__ = text.partition("Raises:")[0]
        assert complaints(plan, KNOWN) == ["no Raises"]
    finally:
        Plan.cost.__doc__ = text


@pytest.mark.parametrize(
    ("example", "found"),
    [
        ("See `gain`.", ["the Example of gain does not show it"]),
        ("See `nothing`.", ["the Example of nothing does not show it"]),
        ("See `stability`.", []),
        ("", ["Example is empty", "no Example"]),
    ],
)
def test_a_result_is_shown_where_its_example_refers_to(example, found):
    text = f"Slopes.\n\nAttributes:\n    gain: The gain.\n\nExample:\n    {example}\n"
    planted = type(
        KNOWN["Stability"].value.__name__, (KNOWN["Stability"].value,), {"__doc__": text}
    )
    planted.__module__ = "planted"
    about = complaints(Public("planted.Stability", "class", planted), KNOWN)

    assert [one for one in about if "Example" in one] == found


# The words under which somebody looks for something, and the names whose docstrings have them.
WORDS = {
    "he normal": ["HeNormal"],
    "kaiming": ["HeNormal", "HeUniform"],
    "msra": ["HeNormal", "HeUniform"],
    "kaiming_uniform_": ["HeUniform"],
    "glorot": ["GlorotNormal", "GlorotUniform"],
    "xavier": ["GlorotNormal", "GlorotUniform"],
    "lecun": ["LecunNormal", "LecunUniform"],
    "fan-in": ["LecunNormal", "LecunUniform"],
    "fan_in": ["compute_fans", "VarianceScaling"],
    "trunc_normal_": ["TruncatedNormal"],
    "dirac_": ["Dirac"],
    "calculate_gain": ["gain"],
    "haar": ["Orthogonal"],
    "dynamical isometry": ["DeltaOrthogonal", "ConvOrthogonal"],
    "irnn": ["PerGate"],
    "forget gate": ["ForgetBias", "Chrono"],
    "retinanet": ["PriorProbability"],
    "checkerboard": ["ICNR"],
    "sine": ["Siren"],
    "transfer learning": ["FromModel"],
    "lsuv": ["lsuv"],
    "layer-sequential unit-variance": ["lsuv"],
    "data-dependent initialization": ["within_layer"],
    "weight normalization": ["weight_norm"],
    "chi": ["stability", "recommend"],
    "vanishing gradients": ["diagnose"],
    "exploding gradients": ["diagnose"],
    "dead relu": ["diagnose"],
    "tensorboard": ["SignalMonitor", "PruningSummaries", "write_tensorboard"],
    "fixup": ["fixup"],
    "t-fixup": ["t_fixup"],
    "skipinit": ["zero_last"],
    "rezero": ["zero_last"],
    "zero gamma": ["zero_last"],
    "deepnet": ["deepnorm"],
    "gpt-2": ["gpt2"],
    "sparsity": ["PolynomialDecay", "ConstantSparsity", "prune_low_magnitude"],
    "magnitude pruning": ["prune_low_magnitude", "PolynomialDecay"],
    "tfmot": ["prune_low_magnitude", "PruningSchedule"],
    "tensorflow-model-optimization": ["kerasinit.pruning"],
    "transfer": ["PruneTrainableLayers"],
    "structured pruning": ["structured"],
    "channel pruning": ["structured"],
    "filter pruning": ["structured"],
    "network slimming": ["structured"],
    "depgraph": ["structured", "groups"],
    "quantized": ["export"],
    "macs": ["structured", "count"],
    "lottery ticket": ["WinningTicket", "kerasinit.lottery", "kerasinit.lottery.run"],
    "winning ticket": ["WinningTicket", "Ticket"],
    "iterative magnitude pruning": ["Experiment", "kerasinit.lottery.run", "prune"],
    "imp": ["Experiment", "kerasinit.lottery.run", "prune"],
    "rewinding": ["Experiment", "kerasinit.lottery.run"],
    "early-bird": ["earlybird"],
    "linear mode connectivity": ["lmc"],
    "hamming": ["mask_distance"],
}


def found_under(word):
    """Return the names, short and in full, whose docstrings have a word or its plural."""
    whole = re.compile(rf"(?<!\w){re.escape(word)}s?(?!\w)")
    found = set()
    for public in NAMES:
        if whole.search(" ".join((docstring_of(public) or "").lower().split())):
            found |= {public.name, public.name.rpartition(".")[2]}
    return found


@pytest.mark.parametrize("word", WORDS)
def test_names_are_found_under_the_words_that_people_use(word):
    assert set(WORDS[word]) - found_under(word) == set()


def test_a_word_that_no_docstring_has_is_missed():
    assert found_under("ninety-nine") == set()
    assert "HeNormal" not in found_under("lecun normal")
