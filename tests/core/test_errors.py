from gmdsl.core.errors import unknown_name


def test_an_unknown_name_lists_what_there_is_and_the_nearest():
    error = unknown_name("condition(thta=...)", "thta", ["mu", "theta"])
    assert str(error) == "condition(thta=...): there is no 'thta'; the variables are mu, theta. Did you mean 'theta'?"


def test_nothing_near_gives_plain_advice():
    assert str(unknown_name("rename(q=...)", "q", [], "names")).endswith("the names are none. Use one of these names.")


def test_a_name_in_the_wrong_case_is_near():
    assert str(unknown_name("condition(Y=...)", "Y", ["mu", "y"])).endswith("Did you mean 'y'?")
