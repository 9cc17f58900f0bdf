import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
import gmdsl.diagnose.lint_rules.improper as rule
from gmdsl.diagnose.lint_rules.improper import improper
from gmdsl.diagnose.probe_points import starts


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2)), "+x[0]"),
        (gm.energy(lambda x: 0.5 * x[0] ** 2, x=gm.Real(2)), "+x[1]"),
        (gm.energy(lambda x: jnp.exp(-x), x=gm.Real()), "+x"),
        (gm.energy(lambda x: (x[0] - x[1]) ** 2, x=gm.Real(2)), "+0.71 x[0] +0.71 x[1]"),
        (gm.energy(lambda s: jnp.log(s), s=gm.Positive()), "-s"),
        (gm.energy(lambda x: jnp.log1p(x**2) / 2.0, x=gm.Real()), "+x"),
    ],
    ids=["flat", "one axis", "one side", "a ridge", "one over s", "a tail of slope -1"],
)
def test_a_density_that_does_not_fall_is_found_with_its_direction(model, named):
    found = improper(model)
    assert found.status in ("suspect", "failed")
    assert named in found.evidence


def test_the_free_sum_of_a_softmax_is_found():
    flat = dist.ImproperUniform(dist.constraints.real, (), (3,))
    model = gm.joint(b=flat, y=lambda b: dist.Categorical(logits=b).expand([6])).condition(
        y=np.array([0, 1, 2, 1, 0, 2])
    )
    found = improper(model)
    assert found.status == "failed"
    assert all(f"b[{i}]" in found.evidence for i in range(3))


def test_a_tail_that_just_falls_fast_enough_is_proper():
    assert improper(gm.energy(lambda x: 0.55 * jnp.log1p(x**2), x=gm.Real())).status == "ok"  # slope -1.1
    assert improper(gm.energy(lambda x: 0.49 * jnp.log1p(x**2), x=gm.Real())).status == "suspect"  # slope -0.98
    # in three dimensions a radial density needs a slope below -3
    assert improper(gm.energy(lambda x: 1.6 * jnp.log1p(x @ x), x=gm.Real(3))).status == "ok"
    assert improper(gm.energy(lambda x: 1.4 * jnp.log1p(x @ x), x=gm.Real(3))).status == "suspect"


def test_a_density_without_a_start_is_not_examined():
    nowhere = gm.energy(lambda x: jnp.where(x > 100.0, 0.5 * x**2, jnp.inf), x=gm.Real())
    assert improper(nowhere).status == "note"


def test_a_line_that_falls_from_one_base_is_not_evaluated_from_others(monkeypatch):
    evaluated = []
    evaluate = rule.log_densities
    monkeypatch.setattr(rule, "log_densities", lambda model, x: evaluated.append(len(x)) or evaluate(model, x))
    model = gm.joint(x=dist.Normal(0.0, 1.0).expand([3]))
    assert improper(model).status == "ok"
    lines = 2 * 3 + rule.RANDOM
    assert sum(evaluated) <= rule.FIRST + rule.BASES + lines * len(rule.RADII)


def test_bases_are_the_first_starts_that_have_a_density():
    half = gm.energy(lambda x: jnp.where(x[0] > 1.5, 0.5 * x @ x, jnp.inf), x=gm.Real(2))
    tried = starts(2, rule.STARTS)
    np.testing.assert_array_equal(rule._bases(half, 2), tried[tried[:, 0] > 1.5][: rule.BASES])
