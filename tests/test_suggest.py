"""Errors name the nearest choice."""

from kerasinit import suggest


def test_a_near_miss_gets_a_suggestion_whatever_its_case():
    assert "Did you mean 'HeNormal'?" in str(suggest.unknown("class", "henormall", ["HeNormal"]))


def test_choices_are_sorted_and_nothing_far_is_suggested():
    message = str(suggest.unknown("mode", "zzz", ["b", "a"], "Or give a file."))

    assert message == "Unknown mode 'zzz'. Choices: a, b. Or give a file."
