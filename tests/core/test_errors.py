from gmdsl.core.errors import unknown_name


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
