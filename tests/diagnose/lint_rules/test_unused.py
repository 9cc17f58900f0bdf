import jax.numpy as jnp
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.lint_rules.unused import unused


def test_nodes_that_nothing_reads_are_named():
    model = gm.joint(a=dist.Normal(0.0, 1.0), w=gm.data([1.0]), k=3.0, p=gm.param(1.0))
    assert unused(model).evidence == "w is read by nothing, p is read by nothing, k is read by nothing"


def test_arguments_that_change_nothing_are_named_with_their_factor():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0), y=lambda a, b: dist.Normal(a, 1.0))
    assert unused(model.condition(y=0.3)).evidence == "b changes nothing in p(y | a, b)"
    energy = gm.energy(lambda x, w: 0.5 * x @ x + 0.0 * w.shape[0], x=gm.Real(2), w=gm.data([1.0, 2.0]))
    assert "w changes nothing in energy(x, w)" in unused(energy).evidence
    computed = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0), c=lambda a, b: 2.0 * a)
    assert unused(computed).evidence == "b changes nothing in c = f(a, b)"


def test_what_is_used_through_a_deterministic_node_or_a_comparison_is_used():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0), w=gm.data([1.0, 2.0]), mean=lambda a, w: a * w,
        y=lambda mean: dist.Normal(jnp.where(mean > 0.0, 1.0, -1.0), 1.0),
    )  # fmt: skip
    assert unused(model.condition(y=[0.1, 0.2])).status == "ok"
