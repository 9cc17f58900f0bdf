import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

NORMAL = dist.Normal(0.0, 1.0)


U = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lambda: gm.scan(lambda b: NORMAL, first=dist.HalfNormal(1.0), length=3), r"first value lives in Positive\(\)"),
        (lambda: gm.scan(lambda b: b + 1.0, first=NORMAL, length=3), "x: its step returns no distribution"),
        (lambda: gm.scan(lambda b: NORMAL, first=lambda u: u[0], length=3), "x: its first returns no distribution"),
        (
            lambda: gm.scan(lambda b, u: dist.Normal(b + u, 1.0), first=NORMAL, length=3),
            r"the following in Real\(6, 2\)",
        ),
        (
            lambda: gm.scan(lambda b, u: dist.Normal(u[0], 1.0), first=NORMAL, length=3, each=["u"]),
            "x: u has 6 rows, but the path has 3 steps",
        ),
        (
            lambda: gm.scan(lambda b, c: NORMAL, first=NORMAL, length=3, carry=0.0),
            r"a step returns \(carry, distribution\)",
        ),
        (
            lambda: gm.scan(lambda b, c: (jnp.ones(2) * c, NORMAL), first=NORMAL, length=3, carry=0.0),
            "makes a carry of shape .* Keep its shape",
        ),
        (
            lambda: gm.scan(lambda b, mu: NORMAL, first=NORMAL, length=3),
            "there is no 'mu'; the names declared here are u",
        ),
        (
            lambda: gm.scan(lambda b: dist.Uniform(b, b + 1.0), first=lambda u: dist.Uniform(u[0, 0], 1.0), length=3),
            "the bounds of its values .* move",
        ),
    ],
)
def test_paths_that_do_not_fit_are_refused_by_name(node, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.joint(u=gm.data(U), x=node())


def test_events_along_a_path_keep_their_support():
    model = gm.joint(
        p=gm.scan(lambda b: dist.Dirichlet(1.0 + 9.0 * b), first=dist.Dirichlet(jnp.ones(3)), length=4),
    )
    assert model.spaces["p"].shape == (4, 3)
    density = gm.compile(model)
    assert density.dim == 8
    p = density.constrain(jnp.arange(8.0) / 8)["p"]
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(density.constrain(density.unconstrain({"p": p}))["p"], p, rtol=1e-5)


def test_the_space_of_a_path_is_that_of_its_values_in_as_many_rows():
    for first, space in (
        (NORMAL, gm.Real(6)),
        (dist.HalfNormal(1.0), gm.Positive(6)),
        (dist.Bernoulli(0.5), gm.Binary(6)),
        (dist.Normal(0.0, 1.0).expand([4]), gm.Real(6, 4)),
        (dist.Uniform(-1.0, 2.0), gm.Interval(-1.0, 2.0, 6)),
    ):
        step = lambda before, u, first=first: first  # noqa: E731
        model = gm.joint(u=gm.data(U), x=gm.scan(step, first=first, each=["u"]))
        assert model.spaces["x"] == space
