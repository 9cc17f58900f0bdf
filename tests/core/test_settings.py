import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.settings import ELSEWHERE, checked_settings

NORMAL = gm.joint(x=dist.Normal(0.0, 1.0))
BOWL = gm.energy(lambda x, a: a * x**2, x=gm.Real(), a=gm.param(1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gm.sample(NORMAL, gm.NUTS(), num_samples=10), r"sample\(num_samples=...\): .* called draws here"),
        (lambda: gm.sample(NORMAL, tune=10), "called warmup here"),
        (lambda: gm.sample(NORMAL, num_warmup=10), "called warmup here"),
        (lambda: gm.sample(NORMAL, chain_method="parallel"), "called chain_mode here"),
        (lambda: gm.sample(NORMAL, random_seed=1), "called seed here"),
        (lambda: gm.sample(NORMAL, warmups=1), "Did you mean warmup"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood(gm.MALA()), learning_rate=0.1), "optax.adam"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood(gm.MALA()), num_steps=1), "called steps here"),
        (lambda: gm.NUTS(target_accept_prob=0.9), r"NUTS\(target_accept_prob=...\): .* called target_accept here"),
        (lambda: gm.NUTS(max_treedepth=3), "called max_tree_depth here"),
        (lambda: gm.HMC(num_integration_steps=3), "called steps here"),
        (lambda: gm.AIS(gm.MALA(), num_particles=3), "called particles here"),
        (lambda: gm.ReverseSDE(num_steps=3), "called steps here"),
        (lambda: gm.VP(beta_start=3), "There are beta_min, beta_max, t_max|Did you mean"),
        (lambda: gm.Euler(order=2), "It has no settings"),
        (lambda: gm.sample_prior(NORMAL, num_samples=3), "called draws here"),
    ],
)
def test_settings_of_other_libraries_are_named(call, message):
    with pytest.raises(gm.SpecError, match=message):
        call()


PATH = gm.temper(gm.energy(lambda x: x**2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 2.0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gm.sample(NORMAL, 1000, 1000), r"sample\(..., 1000\): model and sampler .* by name, as draws=1000"),
        (lambda: gm.sample(NORMAL, gm.NUTS(), 500), "draws=500"),
        (lambda: gm.sample(NORMAL, gm.NUTS(), "vmap"), "by name; they are chains, draws"),
        (lambda: gm.sample(NORMAL, 1000), r"needed second, not 1000. .* by name, draws=1000"),
        (lambda: gm.sample(NORMAL, gm.NUTS), r"NUTS is a class. Pass an instance, NUTS\(\)"),
        (lambda: gm.sample(NORMAL, numpyro.infer.NUTS), "it is NumPyro's. Use a sampler of gm"),
        (lambda: gm.sample(NORMAL, numpyro.infer.NUTS(lambda: None)), "gm.from_numpyro"),
        (lambda: gm.sample(lambda: None, gm.NUTS()), "gm.from_numpyro_model takes a NumPyro function"),
        (lambda: gm.sample(NORMAL, gm.NUTS(), init=gm.Pathfinder), "not the class Pathfinder"),
        (lambda: gm.sample_prior(NORMAL, 100), r"sample_prior\(..., 100\): model comes by position; .* draws=100"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, 1000), "objective is needed third.* by name, steps=1000"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood), "MaximumLikelihood is a class"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood(gm.MALA()), 10), "steps=10"),
        (lambda: gm.log_z(NORMAL, 1000), r"gm.AIS\(gm.MALA\(\)\) on a gm.temper path. .* draws=1000"),
        (lambda: gm.log_z(PATH, "ais"), "a path sampler is needed, not 'ais'"),
        (lambda: gm.log_z(PATH, gm.AIS(gm.MALA)), r"AIS\(move=MALA\): a class"),
        (lambda: gm.predict(NORMAL, 100), "not Model and int"),
    ],
)
def test_an_argument_in_the_place_of_another_is_told_its_name(call, message):
    with pytest.raises(gm.SpecError, match=message):
        call()


def test_what_a_setting_is_called_here_is_a_setting_somewhere():
    import inspect

    public = [getattr(gm, name) for name in dir(gm) if name[0].isalpha()]
    found = {name for thing in public if callable(thing) for name in _parameters(inspect, thing)}
    assert set(ELSEWHERE) <= found | {"data"}


def _parameters(inspect, thing):
    try:
        return list(inspect.signature(thing).parameters)
    except (ValueError, TypeError):
        return []


def test_a_checked_function_is_still_itself():
    @checked_settings
    def f(a, *, b=2):
        """Says so."""
        return a + b

    assert (f(1), f(1, b=3), f.__doc__) == (3, 4, "Says so.")
    with pytest.raises(TypeError):
        f()


def test_a_class_of_a_user_is_checked_by_its_own_signature():
    class Mine(gm.Objective):
        weight: float = 1.0

        def loss(self, key, model, batch, state):
            return batch["x"].sum(), (state, {})

    assert Mine(weight=2.0).weight == 2.0
    with pytest.raises(gm.SpecError, match=r"Mine\(weigth=...\): .* Did you mean weight"):
        Mine(weigth=2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gm.NUTS(max_tree_depth=2.5), r"NUTS\(max_tree_depth=2.5\): a whole number is needed"),
        (lambda: gm.NUTS(target_accept="0.8"), r"NUTS\(target_accept='0.8'\): a number is needed"),
        (lambda: gm.Langevin("a"), r"Langevin\(step_size='a'\): a number is needed"),
        (lambda: gm.replace(gm.NUTS(), target_accept_prob=0.1), "Did you mean 'target_accept'"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood(gm.MALA()), optimizer=1e-3), "optax.adam"),
        (lambda: gm.fit(BOWL, {"x": np.zeros(3)}, gm.MaximumLikelihood(gm.MALA()), batch_size=0), "at least 1"),
    ],
)
def test_settings_that_are_no_numbers_are_refused(call, message):
    with pytest.raises(gm.SpecError, match=message):
        call()


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert gm.HMC(steps=np.int64(3)).steps == 3
    assert gm.ImportanceSampling(np.int32(10)).particles == 10
