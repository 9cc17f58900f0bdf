import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")

Y = np.array([1.4, np.nan, -0.3, np.nan, 2.2])


def test_events_can_be_missing_as_a_whole_and_not_in_part():
    weights = np.array([2.0, 3.0, 4.0])
    model = gm.joint(a=gm.data(weights), x=lambda a: dist.Dirichlet(a).expand([2]))
    x = np.array([[np.nan] * 3, [0.2, 0.3, 0.5]])
    density = gm.compile(model.condition(x=x, missing="marginalise"))
    np.testing.assert_allclose(density.log_density({}), stats.dirichlet(weights).logpdf(x[1]), rtol=1e-12)
    torn = np.array([[0.2, 0.3, 0.5], [np.nan, 0.3, 0.5]])
    with pytest.raises(
        gm.SpecError, match=r"a part of the event x\[1\] is missing, .* p\(x \| a\) is not known. Declare"
    ):
        model.condition(x=torn, missing="marginalise")
    with pytest.raises(gm.SpecError, match="a part of the event"):
        density.with_data(x=torn)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"z": lambda y: dist.Normal(y.sum(), 1.0)}, r"p\(z \| y\) reads y, missing elements included. Declare"),
        ({"total": lambda y: y.sum()}, "total reads y, missing elements included"),
        (
            {"y": gm.scan(lambda before: dist.Laplace(before, 1.0), first=dist.Normal(0, 1), length=5)},
            r"y\[1\] is missing and something after it is not, .* of this path only the end can be missing",
        ),
    ],
)
def test_what_no_rule_integrates_out_is_refused(nodes, message):
    model = gm.joint({"y": dist.Normal(0.0, 1.0).expand([5]), **nodes})
    with pytest.raises(gm.SpecError, match=message):
        model.condition(y=Y, missing="marginalise")


def test_gaps_in_an_energy_or_read_by_a_factor_that_joins_later_are_refused():
    energy = gm.energy(lambda y: jnp.sum(y**2), y=gm.Real(5))
    with pytest.raises(gm.SpecError, match="y is not drawn by a conditional of its own"):
        energy.condition(y=Y, missing="marginalise")
    known = gm.joint(y=dist.Normal(0.0, 1.0).expand([5])).condition(y=Y, missing="marginalise")
    with pytest.raises(gm.SpecError, match=r"product: .* reads y, missing elements included"):
        known * energy


def test_gaps_below_labels_that_are_summed_out_already_say_which_order_works():
    model = gm.joint(
        table=gm.data(np.array([[0.9, 0.1], [0.2, 0.8]])),
        mu=dist.Normal(0.0, 1.0).expand([2]),
        z=gm.scan(
            lambda before, table: dist.Categorical(table[before]),
            first=lambda table: dist.Categorical(table[0]),
            length=16,
        ),
        y=lambda z, mu: dist.Normal(mu[z], 0.5),
    )
    y = np.where(np.arange(16) == 3, np.nan, 0.1)
    with pytest.raises(gm.SpecError, match=r"Condition the joint first, gaps included, and then \.marginalize\('z'\)"):
        model.marginalize("z").condition(y=y, missing="marginalise")
    posterior = model.condition(y=y, missing="marginalise").marginalize("z")
    density = gm.compile(posterior).log_density
    point, flat = np.array([0.3, -0.2]), np.zeros(2)
    apart = float(density({"mu": flat})) - float(jnp.sum(dist.Normal(0.0, 1.0).log_prob(flat)))
    alone = dist.Normal(0.0, 0.5).log_prob(0.1) * 15  # both labels alike: the gap has no term
    assert np.isclose(apart, float(alone), rtol=1e-5)
    assert np.isfinite(float(density({"mu": point})))
