import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

NORMAL = dist.Normal(0.0, 1.0)
U = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: gm.scan(lambda: NORMAL, first=NORMAL, length=3), "the arguments none; it needs the previous value"),
        (
            lambda: gm.scan(lambda b: NORMAL, first=NORMAL, length=3, carry=0.0),
            "the previous value and the carry first",
        ),
        (lambda: gm.scan(lambda b: NORMAL, first=NORMAL, length=0), "whole number of at least 1"),
        (lambda: gm.scan(lambda b: NORMAL, first=NORMAL), "the length is not known. Pass length=, or each="),
        (lambda: gm.scan(lambda b: NORMAL, first=NORMAL, each=["u"]), "nothing reads u"),
        (lambda: gm.scan(NORMAL, first=NORMAL, length=3), "the step is a function of the previous value"),
        (lambda: gm.scan(lambda b: NORMAL, first=0.0, length=3), r"scan\(first=...\): a function of nodes is needed"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused(declare, message):
    with pytest.raises(gm.SpecError, match=message):
        declare()


def test_what_a_step_closes_over_is_warned_of():
    weights = np.ones(3)
    with pytest.warns(gm.CaptureWarning, match="x: its function closes over 'weights'") as warned:
        model = gm.joint(x=gm.scan(lambda b: dist.Normal(b * weights.sum(), 1.0), first=NORMAL, length=2))
    assert len(warned) == 1
    weights[:] = 5.0  # the model keeps what it was declared with
    found = gm.compile(model).log_density({"x": np.array([0.5, 1.0])})
    np.testing.assert_allclose(found, -0.5 * (0.25 + 0.25) - np.log(2 * np.pi), rtol=1e-6)


def test_a_path_of_one_value_is_its_first():
    model = gm.joint(x=gm.scan(lambda b: dist.Normal(b, 1.0), first=dist.Normal(2.0, 3.0), length=1))
    found = gm.compile(model).log_density({"x": [0.5]})
    np.testing.assert_allclose(found, dist.Normal(2.0, 3.0).log_prob(0.5), rtol=1e-6)


def test_rebuilding_a_model_with_a_path_compiles_nothing(compilations):
    def build():
        return gm.joint(x=gm.scan(lambda b: dist.Normal(0.7 * b, 1.0), first=dist.Normal(0.0, 1.0), length=3))

    gm.compile(build()).log_density({"x": np.zeros(3, np.float32)})
    before = len(compilations)
    gm.compile(build()).log_density({"x": np.ones(3, np.float32)})
    assert len(compilations) == before


def test_a_first_value_of_elements_may_precede_steps_of_vectors():
    path = gm.scan(
        lambda last: dist.MultivariateNormal(last, jnp.eye(2)), first=dist.Normal(0.0, 1.0).expand([2]), length=5
    )
    model = gm.joint(x=path)
    np.testing.assert_allclose(
        gm.compile(model).log_density({"x": np.zeros((5, 2))}), -5 * np.log(2 * np.pi), rtol=1e-6
    )
    assert model.condition(x=np.zeros((5, 2))).sample(jax.random.key(0), 3) is not None


def test_a_carry_may_start_as_an_array():
    def step(before, carry):
        return carry + 1.0, dist.Normal(carry.sum(), 1.0)

    path = gm.scan(step, first=dist.Normal(0.0, 1.0), length=3, carry=np.zeros(2))
    value = gm.compile(gm.joint(x=path)).log_density({"x": np.array([0.0, 0.0, 2.0])})
    np.testing.assert_allclose(value, -1.5 * np.log(2 * np.pi), rtol=1e-6)
    with pytest.raises(gm.SpecError, match=r"returns \(carry, distribution\), not \(Normal, value\)"):
        gm.joint(x=gm.scan(lambda b, c: (dist.Normal(b, 1.0), c), first=dist.Normal(0.0, 1.0), length=3, carry=0.0))
