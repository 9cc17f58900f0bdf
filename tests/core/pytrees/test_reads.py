from gmdsl.core.pytrees.function import captured
from gmdsl.core.pytrees.reads import arguments, global_names, is_unbound, values_read


def test_arguments_without_defaults_are_the_parents():
    assert arguments(lambda a, b, c=1, *rest, d, e=2, **more: None) == ("a", "b", "d")


def test_a_package_is_known_in_whatever_folder_it_lies():
    path = "/opt/packages/numpyro/distributions/continuous.py"
    source = "class Normal:\n    def __init__(self):\n        self.loc = [0.0]\n\ndef logit(x):\n    return x\n"
    theirs = {"__name__": "numpyro.distributions.continuous"}
    exec(compile(source, path, "exec"), theirs)
    mine = {"__name__": "mine"}
    exec(compile(source, path, "exec"), mine)
    found = [dict(captured(eval("lambda x: thing", {"thing": space["Normal"]()}))) for space in (theirs, mine)]
    assert found == [{}, {"thing": "mutable object"}]


def test_what_a_function_and_those_inside_it_read_is_listed():
    namespace = {"A": 1.0, "B": 2.0, "unread": 3.0}
    exec("def make(c):\n    def f(x):\n        return (lambda y: A * y + c)(x) * B\n    return f", namespace)
    function = namespace["make"](4.0)
    assert dict(values_read(function)) == {"c": 4.0, "A": 1.0, "B": 2.0}
    assert global_names(function.__code__) == {"A", "B"}


def test_what_is_bound_late_or_by_name_is_not_known():
    namespace = {"there": 1.0}
    for name, body in (("late", "missing + there"), ("named", "eval('there')"), ("known", "there + len(x)")):
        exec(f"def {name}(x):\n    return {body}", namespace)
    assert [is_unbound(namespace[name]) for name in ("late", "named", "known")] == [True, True, False]
