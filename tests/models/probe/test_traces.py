"""Programs of factors are kept by what they compute, and never taken for those of another factor."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.jaxprs import tape
from gmdsl.graph.factor_graph import shapes_of
from gmdsl.models.probe import traces
from gmdsl.models.probe.traces import program_of


def chain(length):
    nodes, space = {"k0": dist.Categorical(jnp.array([0.5, 0.5]))}, {"dist": dist}
    for i in range(1, length):
        nodes[f"k{i}"] = eval(f"lambda k{i - 1}, table: dist.Categorical(table[k{i - 1}])", space)
    return gm.joint(table=gm.data(np.array([[0.9, 0.1], [0.2, 0.8]])), **nodes)


def test_factors_of_one_kind_are_traced_once(monkeypatch):
    traces._PROGRAMS.clear()
    made = []
    monkeypatch.setattr(traces, "traced", lambda *args, **kwargs: made.append(args) or tape.traced(*args, **kwargs))
    chain(30)
    assert len(made) == 2  # the first label, and all that follow
    chain(40)
    assert len(made) == 2


def test_a_program_has_the_names_of_its_own_factor():
    model = chain(4)
    shapes = shapes_of(model)
    third = program_of(model.factors[3], shapes)
    assert set(third.inputs) == {"k2", "k3", "table"}
    values = {"k2": 1, "k3": 0, "table": np.array([[0.9, 0.1], [0.2, 0.8]], "float32")}
    given = {third.inputs[name]: jnp.asarray(value) for name, value in values.items()}
    assert np.isclose(float(third.run(third.steps, given, third.output)), np.log(0.2), rtol=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda a, b: dist.Normal(a[b], 1.0), lambda b, a: dist.Normal(a[b], 1.0)),
        (lambda a, b: dist.Normal(a[b], 1.0), lambda a, b: dist.Normal(a[b + 1], 1.0)),
    ],
)
def test_factors_that_differ_are_told_apart(one, other):
    """Another order of the arguments, or another shift, is another index."""
    table, label = gm.data(np.arange(3.0)), gm.data(2)
    gm.joint(a=table, b=label, y=one)
    if other.__code__.co_varnames == ("a", "b"):
        with pytest.raises(gm.SpecError, match=r"b gives the index 3 in y"):
            gm.joint(a=table, b=label, y=other)
    else:
        gm.joint(a=table, b=label, y=other)
    with pytest.raises(gm.SpecError, match=r"q gives the index 3 in y, where the elements are 0 to 2"):
        gm.joint(p=table, q=gm.data(3), y=lambda p, q: dist.Normal(p[q], 1.0))
    with pytest.raises(gm.SpecError, match=r"the elements are 0 to 1"):
        gm.joint(a=gm.data(np.arange(2.0)), b=label, y=one)


def test_numbers_are_a_part_of_the_program():
    def shifted(a, n):
        return dist.Normal(a[jnp.array([0]) + n], 1.0).to_event(1)

    gm.joint(a=gm.data(np.arange(3.0)), n=2, y=shifted)
    with pytest.raises(gm.SpecError, match=r"the index 3 in y"):
        gm.joint(a=gm.data(np.arange(3.0)), n=3, y=shifted)


def test_factors_that_hold_arrays_are_not_kept():

    traces._PROGRAMS.clear()
    gm.energy(eqx.nn.MLP(2, "scalar", 4, 1, key=jax.random.key(0)), x=gm.Real(2))
    assert not traces._PROGRAMS


def test_no_more_programs_are_kept_than_a_bound(monkeypatch):
    monkeypatch.setattr(traces, "KEPT", 3)
    traces._PROGRAMS.clear()
    for shift in range(6):
        gm.joint(a=gm.data(np.arange(8.0)), y=eval(f"lambda a: dist.Normal(a[{shift}], 1.0)", {"dist": dist}))
    assert len(traces._PROGRAMS) == 3
