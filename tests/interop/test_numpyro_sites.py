import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.reparam import LocScaleReparam
from numpyro.infer.util import log_density

import gmdsl as gm

Y = np.arange(6.0).reshape(2, 3)


def test_plates_name_the_dimensions():
    def crossed(y):
        with numpyro.plate("school", 3, dim=-1):
            effect = numpyro.sample("effect", dist.Normal(0.0, 1.0))
            with numpyro.plate("year", 2, dim=-2):
                mean = numpyro.deterministic("mean", effect + jnp.zeros((2, 3)))
                numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)
            numpyro.sample("shares", dist.Dirichlet(jnp.ones(4)))

    model = gm.from_numpyro_model(crossed, Y)
    assert dict(model.dims) == {
        "effect": ("school",),
        "mean": ("year", "school"),
        "y": ("year", "school"),
        "shares": ("school",),
    }
    tree = gm.sample_prior(model, draws=5)
    assert tree["prior"]["shares"].dims == ("chain", "draw", "school", "shares_dim_1")
    assert tree["prior_predictive"]["y"].dims == ("chain", "draw", "year", "school")


def test_a_plate_named_as_a_variable_names_no_dimension():
    def model(y):
        with numpyro.plate("y", 2):
            numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    with pytest.raises(AssertionError):  # NumPyro wants a name per site
        gm.from_numpyro_model(model, 1.0)

    def by_argument(rows):
        with numpyro.plate("rows", 2):
            numpyro.sample("x", dist.Normal(jnp.sum(rows), 1.0))

    assert gm.from_numpyro_model(by_argument, Y).dims == ()


def test_improper_priors_count_nothing(x64):
    def ordered(y):
        cuts = numpyro.sample("cuts", dist.ImproperUniform(dist.constraints.ordered_vector, (), (2,)))
        numpyro.sample("y", dist.Normal(cuts[0] + cuts[1], 1.0), obs=y)

    model, point = gm.from_numpyro_model(ordered, 0.5), {"cuts": jnp.array([-0.3, 1.0])}
    assert isinstance(model.spaces["cuts"], gm.Ordered)
    assert not model.capabilities().normalized
    np.testing.assert_allclose(
        gm.compile(model).log_density(point), log_density(ordered, (0.5,), {}, point)[0], rtol=1e-12
    )


def test_bounds_that_depend_on_a_latent_move(x64):
    def nested(y):
        top = numpyro.sample("top", dist.HalfNormal(1.0))
        x = numpyro.sample("x", dist.Uniform(0.0, top))
        numpyro.sample("y", dist.Normal(x, 1.0), obs=y)

    density = gm.compile(gm.from_numpyro_model(nested, 0.5))
    assert "interval" in repr(density.model.spaces["x"])
    point = {"top": 7.0, "x": 6.5}
    np.testing.assert_allclose(density.log_density(point), log_density(nested, (0.5,), {}, point)[0], rtol=1e-12)
    np.testing.assert_allclose(density.constrain(density.unconstrain(point))["x"], 6.5, rtol=1e-12)


def test_a_subsample_is_refused_and_the_sampler_named():
    def part(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
        with numpyro.plate("n", 100, subsample_size=10):
            numpyro.sample("y", dist.Normal(mu, 1.0), obs=numpyro.subsample(y, event_dim=0))

    with pytest.raises(gm.SpecError, match=r"plate n takes 10 of 100 rows.*gm.SGLD\(..., batch_size=10\)"):
        gm.from_numpyro_model(part, jnp.arange(100.0))


def test_sites_that_come_and_go_are_refused():
    def growing(y):
        n = numpyro.sample("n", dist.Poisson(5.0))
        numpyro.sample("y", dist.Normal(0.0, 1.0).expand([int(n) + 1]))

    with pytest.raises(gm.SpecError, match="only for some random values"):
        gm.from_numpyro_model(growing, 1.0)


def wrapped(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    rows = numpyro.sample("rows", dist.Normal(mu, s).expand([3]))
    numpyro.sample("y", dist.Normal(rows, 1.0), obs=y)


HALF = {"mu": np.array(0.5)}
CENTRED = {"rows": LocScaleReparam(0.0)}


@pytest.mark.parametrize(
    ("model", "free"),
    [
        (handlers.condition(wrapped, data=HALF), ("s", "rows")),
        (handlers.do(wrapped, data=HALF), ("mu", "s", "rows")),
        (handlers.reparam(wrapped, config=CENTRED), ("mu", "s", "rows_decentered")),
        (handlers.condition(handlers.reparam(wrapped, config=CENTRED), data=HALF), ("s", "rows_decentered")),
        (handlers.scale(wrapped, scale=0.5), ("mu", "s", "rows")),
        (handlers.seed(wrapped, 0), ("mu", "s", "rows")),
    ],
    ids=["condition", "do", "reparam", "condition of reparam", "scale", "seed"],
)
def test_models_inside_of_handlers_have_numpyros_density(x64, model, free):
    y = jnp.array([1.0, 2.0, 0.5])
    built = gm.from_numpyro_model(model, y)
    assert built.free == free
    point = {name: jnp.full(built.spaces[name].shape, 0.7) for name in free}
    right = log_density(handlers.seed(model, 0), (y,), {}, point)[0]
    np.testing.assert_allclose(gm.compile(built).log_density(point), right, rtol=1e-12)


def test_substituted_values_that_samplers_would_replace_are_refused():
    for model in (
        handlers.substitute(wrapped, data=HALF),
        handlers.substitute(wrapped, substitute_fn=lambda site: HALF.get(site["name"])),
    ):
        with pytest.raises(gm.SpecError, match=r"mu is given a value by numpyro.handlers.substitute.*condition"):
            gm.from_numpyro_model(model, jnp.zeros(3))
