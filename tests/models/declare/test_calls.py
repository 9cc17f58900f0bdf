import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.models.declare.calls import Fixed, call_of, check_known

OFFSET = np.ones(2)


def test_closing_over_an_array_warns_once_and_names_it():
    with pytest.warns(gm.CaptureWarning, match="y: its function closes over 'OFFSET' .array.") as warned:
        model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x + OFFSET, 1.0))
    assert len(warned) == 1
    found = gm.compile(model).log_density({"x": 0.5, "y": np.array([1.0, 2.0])})
    np.testing.assert_allclose(found, -0.5 * (0.25 + 0.25 + 0.25) - 1.5 * np.log(2 * np.pi), rtol=1e-6)


def test_many_nodes_that_close_over_arrays_draw_one_warning_with_the_first_names_and_the_count():
    with pytest.warns(gm.CaptureWarning) as warned:
        model = gm.joint({f"y{i}": lambda i=i: dist.Normal(OFFSET[i % 2], 1.0) for i in range(40)})
    assert len(warned) == 1
    assert str(warned[0].message) == (
        "40 functions close over arrays or mutable objects, frozen as they are now: y0 over 'OFFSET' (array); y1 over"
        " 'OFFSET' (array); y2 over 'OFFSET' (array); and 37 more nodes. Pass arrays as gm.data and modules through"
        " gm.given."
    )
    assert warned[0].filename == __file__
    evidence = gm.lint(model)["captured"].evidence
    assert evidence.startswith("p(y0) closes over OFFSET (array), p(y1) closes over OFFSET (array), ")
    assert evidence.endswith("and 36 more")


@pytest.mark.parametrize(
    "declare",
    [
        lambda: gm.energy(lambda x: jnp.sum(OFFSET * x**2), x=gm.Real(2)),
        lambda: gm.from_callable(lambda x: jnp.sum(OFFSET * x**2), x=gm.Real(2)),
        lambda: gm.joint(x=gm.scan(lambda b: dist.Normal(b + OFFSET[0], 1.0), first=dist.Normal(0.0, 1.0), length=2)),
    ],
)
def test_a_warning_of_what_is_closed_over_points_at_the_line_that_declares(declare):
    with pytest.warns(gm.CaptureWarning, match=r"'OFFSET' \(array\)") as warned:
        declare()
    assert [warning.filename for warning in warned] == [__file__]


def test_given_ties_modules_and_builtins_to_their_parents():
    model = gm.joint(
        z=dist.Normal(0.0, 1.0).expand([2]), q=gm.given("z", Quadratic(jnp.eye(2))), e=gm.given("q", jnp.exp)
    )
    drawn = model.sample(jax.random.key(0))
    np.testing.assert_allclose(drawn["e"], np.exp(0.5 * np.sum(np.asarray(drawn["z"]) ** 2)), rtol=1e-6)


class Quadratic(eqx.Module):
    matrix: jnp.ndarray

    def __call__(self, x):
        return 0.5 * x @ self.matrix @ x


def test_nodes_that_are_not_random_are_sorted_by_kind():
    fixed = Fixed()
    nodes = {
        "d": gm.data(np.ones(3)), "p": gm.param(2.0, gm.Positive()), "i": gm.input(gm.Real(2)), "n": 3,
        "x": dist.Normal(0.0, 1.0), "f": lambda d: d,
    }  # fmt: skip
    assert [name for name, node in nodes.items() if not fixed.take(name, node)] == ["x", "f"]
    assert (list(fixed.data), list(fixed.params), fixed.inputs, fixed.constants) == (
        ["d"], ["p"], {"i": gm.Real(2)}, {"n": 3}
    )  # fmt: skip
    known = fixed.known()
    assert {name: known[name].shape for name in "dpi"} == {"d": (3,), "p": (), "i": (2,)}
    assert known["n"] == 3


def test_arguments_are_read_by_name_or_in_order_and_the_call_passes_them_on():
    by_name = call_of("joint", "y", lambda b, a: a - b, ["a", "b", "c"])
    in_order = call_of("energy", "energy", pow, ["a", "b"])
    given = call_of("joint", "y", gm.given("c", "a", pow), ["a", "b", "c"])
    partial = call_of("joint", "y", functools.partial(lambda a, k: a * k, k=10), ["a"])
    values = {"a": 2, "b": 3, "c": 5}
    assert [call(values) for call in (by_name, in_order, given, partial)] == [-1, 8, 25, 20]
    assert [call.variables for call in (by_name, in_order, given, partial)] == [
        ("b", "a"),
        ("a", "b"),
        ("c", "a"),
        ("a",),
    ]


def test_an_argument_that_was_not_declared_is_named_with_one_like_it():
    with pytest.raises(gm.SpecError, match=r"joint\(y=...\): there is no 'muu'; .*Did you mean 'mu'"):
        check_known("joint", "y", ("muu",), ["mu", "y"])
    with pytest.raises(gm.SpecError, match="Declare it, z=..., or rename the argument"):
        check_known("joint", "y", ("mu", "z"), ["mu", "y"])
    check_known("joint", "y", ("mu",), ["mu", "y"])
