import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


class Quadratic(eqx.Module):
    matrix: jnp.ndarray

    def __call__(self, x):
        return 0.5 * x @ self.matrix @ x


def test_nodes_take_their_shape_from_distributions_and_parents():
    model = gm.joint(
        mu=dist.Normal(0.0, 1.0),
        x=lambda mu, scale: dist.Normal(mu, scale),
        total=lambda x: x.sum(),
        scale=gm.data(np.ones(4)),
    )
    assert model.spaces == {"mu": gm.Real(), "x": gm.Real(4), "total": gm.Real()}
    assert model.deterministic == ("total",)
    assert model.free == ("mu", "x")


def test_names_that_are_not_identifiers_go_through_a_dict():
    model = gm.joint({"x 1": dist.Normal(0.0, 1.0)}, y=dist.Normal(0.0, 1.0))
    assert model.free == ("x 1", "y")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gm.joint(a=lambda b: dist.Normal(b, 1), b=lambda a: dist.Normal(a, 1)), r"cycle, .*a.* -> .*b"),
        (lambda: gm.joint(a=lambda bb: dist.Normal(bb, 1), b=dist.Normal(0, 1)), "Did you mean 'b'"),
        (lambda: gm.joint({"a": dist.Normal(0, 1)}, a=dist.Normal(0, 1)), "a is declared twice"),
        (lambda: gm.joint(a=np.ones(3)), r"a: ndarray is not a node.*gm\.data"),
        (lambda: gm.joint(a=lambda: dist.Normal(0.0, -1.0)), "a: .*scale"),
        (lambda: gm.joint(a=Quadratic(jnp.eye(2))), r"a: a module or builtin needs its parents.*gm\.given"),
        (lambda: gm.joint(a=3j), "a: complex is not a node"),
        (lambda: gm.joint(a=dist.Normal), r"a: Normal is a class. Make one, as in Normal\(...\)"),
        (lambda: gm.joint({"dims/x": dist.Normal(0, 1)}), "a name is a string without '/'"),
        (lambda: gm.joint(a=dist.Normal(0, 1).expand([3]), dims={"a": ["a"]}), "has the name of a variable"),
        (lambda: gm.joint(a=dist.Normal(0, 1).expand([3]), dims={"a": ["chain"]}), "'chain' of a"),
        (
            lambda: gm.joint(t=dist.Normal(0, 1).expand([8]), y=lambda t, s: dist.Normal(t, s), s=gm.data(np.ones(7))),
            r"y: its function failed for t\(8,\), s\(7,\)",
        ),
        (lambda: gm.joint(t=dist.Normal(0, 1), y=lambda t: dist.Normal(1 if t > 0 else 0, 1)), "y: .*jnp.where"),
        (lambda: gm.joint(a=dist.Normal(0, 1).expand([3]), dims={"b": ["k"]}), "there is no 'b'"),
        (lambda: gm.joint(a=dist.Normal(0, 1).expand([3]), dims={"a": ["k"]}, coords={"k": [1, 2]}), "2 labels, but"),
    ],
)
def test_mistakes_are_named_when_the_model_is_declared(build, message):
    with pytest.raises(gm.SpecError, match=message):
        build()


def test_supports_whose_bounds_depend_on_parents_are_known_to_move():
    model = gm.joint(a=dist.HalfNormal(1.0), b=lambda a: dist.Uniform(0.0, a))
    assert model.spaces["b"].dynamic
    assert not model.spaces["a"].dynamic
