"""Errors name the nearest choice."""

from kerasinit._src import errors


def test_a_near_miss_gets_a_suggestion_whatever_its_case():
    assert "Did you mean 'HeNormal'?" in str(errors.unknown("class", "henormall", ["HeNormal"]))


def test_choices_are_sorted_and_nothing_far_is_suggested():
    message = str(errors.unknown("mode", "zzz", ["b", "a"], "Or give a file."))

    assert message == "Unknown mode 'zzz'. Choices: a, b. Or give a file."
