import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.models.formula import formula, sizes

X = gm.data(np.ones((4, 2)))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (dist.Normal(0, 5), "y ~ Normal(0, 5)"),
        (dist.Normal(jnp.array([0.0, 1.0]), 5.0), "y ~ Normal(array[2], 5)"),
        (lambda mu, tau: dist.Normal(mu, tau).expand([4]), "y ~ Normal(mu, tau)"),
        (lambda mu, tau: dist.Normal(mu * jnp.ones(4), tau).to_event(1), "y ~ Normal(f(mu, tau), tau)"),
        (lambda p: dist.Binomial(10, probs=p), "y ~ Binomial(probs=p, total_count=10)"),
        (lambda mu: dist.Bernoulli(logits=mu), "y ~ Bernoulli(logits=mu)"),
        (lambda mu, x: dist.Poisson(jnp.exp(mu + x[:, 0])), "y ~ Poisson(f(mu, x))"),
        (lambda tau: dist.StudentT(4.0, 0.0, tau), "y ~ StudentT(df=4, loc=0, scale=tau)"),
        (lambda mu: gm.truncated(dist.Normal(mu, 1.0), low=0.0), "y ~ TruncatedNormal(mu, 1)"),
        (lambda mu: mu + 1.0, ""),
    ],
)
def test_a_law_is_written_by_the_names_of_its_nodes(node, expected):
    model = gm.joint(mu=dist.Normal(0, 5), tau=dist.HalfNormal(1), p=dist.Beta(1, 2), x=X, y=node)
    assert formula(model, next(f for f in model.factors if "y" in f.children)) == expected


def test_text_tables_and_pictures_show_laws_dimensions_and_sizes():
    model = gm.joint(mu=dist.Normal(0, 5), y=lambda mu: dist.Normal(mu, 1).expand([4]), dims={"y": ["row"]}).condition(
        y=np.zeros(4)
    )
    assert sizes(model, "y") == " (row=4)"
    assert sizes(model, "mu") == ""
    assert "p(y | mu)  y ~ Normal(mu, 1)" in str(model)
    assert "y: Real(4), observed, row" in str(model)
    assert "y ~ Normal(mu, 1)" in model._repr_html_()
    assert "Real(4), row" in model._repr_html_()
    picture = gm.render(model)
    assert '["mu ~ Normal(0, 5)"]' in picture
    assert '(("y (row=4)"))' in picture


def test_a_weighted_conditional_shows_the_law_inside():
    model = gm.joint(mu=dist.Normal(0, 5), y=lambda mu: dist.Normal(mu, 1)).condition(y=0.3).weight(y=0.5)
    assert [formula(model, factor) for factor in model.factors] == ["mu ~ Normal(0, 5)", "y ~ Normal(mu, 1)"]
