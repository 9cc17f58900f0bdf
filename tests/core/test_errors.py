import pytest

from gmdsl.core.errors import SpecError, check_not_negative, check_one_of, unknown_name


def test_an_unknown_name_lists_what_there_is_and_the_nearest():
    error = unknown_name("condition(thta=...)", "thta", ["mu", "theta"])
    assert str(error) == "condition(thta=...): there is no 'thta'; the variables are mu, theta. Did you mean 'theta'?"


def test_nothing_near_gives_plain_advice():
    error = unknown_name("rename(q=...)", "q", ["a", "b"], "names")
    assert str(error) == "rename(q=...): there is no 'q'; the names are a, b. Use one of these names."


def test_where_nothing_else_has_a_name_the_message_says_so():
    error = unknown_name("rename(q=...)", "q", [], "names")
    assert str(error) == "rename(q=...): there is no 'q', and there are no other names. Declare it first."


def test_a_name_in_the_wrong_case_is_near():
    assert str(unknown_name("condition(Y=...)", "Y", ["mu", "y"])).endswith("Did you mean 'y'?")


def test_a_number_below_zero_and_a_value_that_there_is_not_are_named():
    class Settings:
        size, kind = -1.0, 3

    with pytest.raises(SpecError, match=r"Settings\(size=-1.0\): a finite number of at least 0 is needed"):
        check_not_negative(Settings(), "size")
    with pytest.raises(SpecError, match=r"Settings\(kind=3\): one of 1, 2 is needed"):
        check_one_of(Settings(), "kind", 1, 2)
    for size in (0, 0.0, 2.5):
        Settings.size = size
        check_not_negative(Settings(), "size")
    check_one_of(Settings(), "kind", 2, 3)
