import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def model():
    return gm.joint(
        mu=dist.Normal(0.0, 1.0),
        y=lambda mu, s: dist.Normal(mu, s).expand([2]),
        s=gm.data(1.0),
        t=gm.param(0.5),
        dims={"y": ["obs"]},
        coords={"obs": ["a", "b"]},
    )


def test_a_model_is_a_pytree_of_its_arrays(model):
    leaves = jax.tree.leaves(model.condition(y=[1.0, 2.0]))
    assert len(leaves) == 3  # s, the parameter, y


def test_a_model_is_immutable(model):
    with pytest.raises(AttributeError):
        model.factors = ()
    assert model.condition(y=[1.0, 2.0]) is not model


def test_the_text_of_a_model_names_factors_spaces_and_roles(model):
    text = repr(model.condition(y=[1.0, 2.0]))
    for part in ("p(y | mu, s)", "mu: Real(), free", "y: Real(2), observed", "s: data ()", "t: parameter in Real()"):
        assert part in text


def test_only_models_multiply(model):
    with pytest.raises(TypeError):
        _ = model * 2.0
    with pytest.raises(TypeError):
        _ = jnp.ones(2) * model


def test_a_notebook_shows_variables_and_factors_as_tables(model):
    text = model._repr_html_()
    assert text.count("<tr>") == 2 + 4 + 2  # two heads, four variables and constants, two factors
    assert "p(y | mu, s)" in text
    assert "parameter" in text
