import io

import jax.numpy as jnp
import numpyro.distributions as dist
import rich.console

import gmdsl as gm
from gmdsl.models.display import rows, text


def model():
    return gm.joint(
        scale=gm.param(1.0, gm.Positive()),
        w=gm.data([1.0, 2.0]),
        half=0.5,
        mu=dist.Normal(0.0, 1.0),
        m2=lambda mu, half: half * mu,
        y=lambda mu, w, scale: dist.Normal(mu * w, scale),
    ).condition(y=[0.1, 0.2]) * gm.energy(lambda mu: jnp.abs(mu), name="a<b", mu=gm.Real())


def terminal(thing):
    console = rich.console.Console(file=io.StringIO(), width=90)
    console.print(thing)
    return console.file.getvalue()


def test_the_text_says_what_each_name_is():
    lines = text(model()).splitlines()
    assert lines[0] == repr(model()).splitlines()[0] == "Model"
    for line in (
        "a<b(mu)", "  mu: Real(), free", "  m2: Real(), computed", "  y: Real(2), observed", "  w: data (2,)",
        "  half: 0.5", "  scale: parameter in Positive()",
    ):  # fmt: skip
        assert line in lines
    assert "  x: input in Real(2)" in text(gm.joint(x=gm.input(gm.Real(2)), z=lambda x: dist.Normal(x, 1.0)))


def test_the_tables_hold_every_variable_and_factor():
    variables, factors = rows(model())
    assert ("y", "observed", "Real(2)") in variables
    assert ("mu", "free", "Real()") in variables
    assert ("a<b(mu)", "energy", "unnormalized") in factors
    assert {name for name, *_ in variables} == {"mu", "m2", "y", "w", "half", "scale"}


def test_notebooks_get_escaped_tables_of_models_and_densities():
    for thing in (model(), gm.compile(model())):
        shown = thing._repr_html_()
        assert "<td style='text-align:left'>a&lt;b(mu)</td>" in shown
        assert "a<b" not in shown
    assert "flat vector of length 1" in gm.compile(model())._repr_html_()


def test_terminals_get_tables_of_models_and_densities():
    shown = terminal(model())
    assert ["y", "observed", "Real(2)"] in [line.split() for line in shown.splitlines()]
    assert ["a<b(mu)", "energy", "unnormalized"] in [line.split() for line in shown.splitlines()]
    shown = terminal(gm.compile(model()))
    assert "mu: [0:1] Real(), support from p(mu)" in shown
    assert "p(y | mu, w, scale)" in shown
