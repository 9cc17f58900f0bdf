import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.run.targets import flat_target
from tests.run.populations.test_generators import Importance, draw, family


def test_the_start_may_be_a_model_of_the_noisy_end():
    spike = gm.joint(x=dist.Normal(jnp.array([5.0, -5.0]), 1e-3).to_event(1))
    tree = draw(family(), gm.ReverseODE(gm.Euler(), steps=1), draws=20, init=spike)
    model, step = family(), 1.0
    exact = np.array([5.0, -5.0]) - step * np.asarray(model.velocity(np.array([5.0, -5.0]), 1.0))
    np.testing.assert_allclose(tree["posterior"]["x"].values[0], np.broadcast_to(exact, (20, 2)), atol=0.2)


def test_wrong_pairings_name_the_fix():
    model, path = family().model, gm.temper(family().model, gm.joint(x=dist.Normal(jnp.zeros(2), 1.0).to_event(1)))
    with pytest.raises(gm.SpecError, match=r"a noised family is sampled backwards. Try gm.ReverseSDE\(\)"):
        draw(family(), gm.NUTS())
    with pytest.raises(gm.SpecError, match=r"sample\(Model, ReverseSDE\(\)\): .*noised family.*gm.noise\(model"):
        draw(model, gm.ReverseSDE())
    with pytest.raises(gm.SpecError, match=r"sample\(.*Path, DDPM\(\)\).*gm.noise"):
        draw(path, gm.DDPM())
    with pytest.raises(gm.SpecError, match=r"sample\(Noised, Importance\(\)\): a model is needed first"):
        draw(family(), Importance())
    with pytest.raises(gm.SpecError, match="ReverseSDE"):
        draw(family(), gm.ReverseSDE)
    with pytest.raises(gm.SpecError, match="path"):
        draw(family(), gm.AIS(gm.MALA()))
    discrete = gm.joint(k=dist.Categorical(probs=jnp.array([0.5, 0.5])))
    with pytest.raises(gm.SpecError, match="k is discrete; Importance makes real numbers only"):
        draw(discrete, Importance())
    with pytest.raises(gm.SpecError, match="every variable is observed"):
        draw(gm.joint(x=dist.Normal(0.0, 1.0)).condition(x=1.0), Importance())


@pytest.mark.parametrize(
    "init", [{"x": np.zeros(2)}, 3.0, gm.VP(), gm.energy(lambda x: x @ x, x=gm.Real(2))], ids=lambda i: type(i).__name__
)
def test_a_start_that_cannot_be_drawn_is_refused(init):
    with pytest.raises(gm.SpecError, match=r"sample\(init=...\): a drawable model of x is needed.*family.at"):
        draw(family(), gm.DDPM(steps=2), init=init)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_start_of_another_shape_is_refused(shape):
    with pytest.raises(gm.SpecError, match="init"):
        draw(family(), gm.DDPM(steps=2), init=gm.joint(x=dist.Normal(jnp.zeros(shape), 1.0)))


def test_a_generator_sees_the_flat_family_or_the_flat_density(x64):
    noised = family()
    assert eqx.tree_equal(flat_target("sample", noised, gm.DDPM()), noised.flat)
    model = gm.joint(s=dist.LogNormal(0.3, 2.0), y=lambda s: dist.Normal(s, 1.0)).condition(y=1.0)
    target = flat_target("sample", model, Importance())
    exact = stats.norm.logpdf(0.7, 0.3, 2.0) + stats.norm.logpdf(1.0, np.exp(0.7), 1.0)  # s with its Jacobian is log s
    np.testing.assert_allclose(target.log_density(jnp.array([0.7])), exact, rtol=1e-12)
    with pytest.raises(gm.SpecError, match="Importance chooses its own starts. Leave init= out"):
        flat_target("sample", model, Importance(), {"s": 1.0})


def test_a_family_that_begins_elsewhere_is_the_same_but_for_its_start():
    noised, spike = family(), gm.joint(x=dist.Normal(jnp.array([5.0, -5.0]), 1e-3).to_event(1))
    flat = flat_target("sample", noised, gm.DDPM(), spike)
    np.testing.assert_allclose(flat.start(jax.random.key(0)), [5.0, -5.0], atol=0.01)
    np.testing.assert_array_equal(flat.score(jnp.ones(2), 0.4), noised.flat.score(jnp.ones(2), 0.4))
