import pathlib
import re
import subprocess
import sys

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import as_keys, chain_words, step_key
from tests.samplers.laws import assert_exact, target

TUNED = (gm.adapt.DiagonalMetric(), gm.adapt.StepSize(0.8))
MASS = np.array([0.5, 2.0])
START = {"x": np.array([0.3, -1.0], np.float32)}


def energy(x):
    return jnp.sum(jnp.cosh(x)) + 0.4 * x[0] * x[1]


@pytest.mark.parametrize(
    ("maker", "settings"),
    [
        (blackjax.nuts, {"step_size": 0.3, "inverse_mass_matrix": MASS}),
        (blackjax.hmc, {"step_size": 0.3, "inverse_mass_matrix": MASS, "num_integration_steps": 4}),
        (blackjax.mala, {"step_size": 0.3}),
        (blackjax.barker, {"step_size": 0.3}),
        (blackjax.mclmc, {"step_size": 0.3, "L": 1.5}),
    ],
)
def test_a_run_makes_the_steps_that_blackjax_itself_makes_with_the_same_keys(maker, settings):
    model = gm.energy(energy, x=gm.Real(2))
    sampler = gm.from_blackjax(maker, **settings)
    run = {"chains": 1, "draws": 5, "warmup": 0, "seed": 3, "init": START, "progress": False}
    found = gm.sample(model, sampler, **run)["posterior"]["x"].values[0]
    algorithm = maker(lambda x: -energy(x), **settings)
    chain = as_keys(chain_words(3, range(1)))[0]
    state = algorithm.init(jnp.asarray(START["x"]), jax.random.fold_in(chain, 0x7FFFFFFF))
    for i in range(5):
        state, _ = algorithm.step(step_key(chain, i), state)
        np.testing.assert_allclose(found[i], state.position, rtol=2e-5, atol=2e-6)


def test_adapters_of_gmdsl_tune_a_kernel_and_its_law_is_exact():
    sampler = gm.from_blackjax(blackjax.nuts, step_size=0.1, adapts=TUNED, lockstep=False)
    tree = gm.sample(target(), sampler, draws=4000, progress=False)
    assert_exact(tree, least_ess=2000)
    stats = tree["sample_stats"]
    assert abs(float(stats["acceptance_rate"].mean()) - 0.8) < 0.15
    names = {"acceptance_rate", "diverging", "energy", "lp", "n_steps", "step_size", "tree_depth", "is_turning"}
    assert set(stats) == names | {"reached_max_treedepth"}
    assert stats["diverging"].dtype == bool


def test_lp_is_the_log_density_at_the_draw():
    model = gm.energy(energy, x=gm.Real(2))
    tree = gm.sample(model, gm.from_blackjax(blackjax.mala, step_size=0.5), draws=20, warmup=0, progress=False)
    expected = jax.vmap(lambda x: -energy(x))(tree["posterior"]["x"].values.reshape(-1, 2))
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values.ravel(), expected, rtol=1e-5)


def test_the_length_of_mclmc_and_its_step_are_tuned_and_its_bias_is_told():
    rules = (gm.adapt.DiagonalMetric(), gm.adapt.Length(), gm.adapt.EnergyError())
    sampler = gm.from_blackjax(blackjax.mclmc, step_size=0.1, L=1.0, adapts=rules, bias="unadjusted")
    model = gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.arange(1.0, 11.0)) ** 2), x=gm.Real(10))
    tree = gm.sample(model, sampler, draws=2000, progress=False)
    error = float((tree["sample_stats"]["energy_error"].values ** 2).mean()) / 10
    assert abs(np.log(error / 5e-4)) < 0.5
    assert tree["posterior"].attrs["bias"] == "unadjusted"
    scales = tree["posterior"]["x"].values.std((0, 1))
    np.testing.assert_allclose(scales, np.arange(1.0, 11.0), rtol=0.15)


def test_a_second_run_with_other_numbers_compiles_nothing(compilations):
    model = gm.energy(energy, x=gm.Real(2))
    for step_size in (0.3, 0.4):
        sampler = gm.from_blackjax(blackjax.hmc, step_size=step_size, inverse_mass_matrix=MASS, num_integration_steps=3)
        before = len(compilations)
        gm.sample(model, sampler, draws=10, warmup=0, progress=False)
    assert len(compilations) == before


def test_a_run_goes_on_from_its_store_with_a_sampler_made_anew(tmp_path):
    def sampler():
        settings = {"inverse_mass_matrix": MASS, "num_integration_steps": 3}
        return gm.from_blackjax(blackjax.hmc, step_size=0.3, integrator=blackjax.mcmc.integrators.mclachlan, **settings)

    model = gm.energy(energy, x=gm.Real(2))
    run = {"warmup": 0, "progress": False}
    whole = gm.sample(model, sampler(), draws=40, **run)["posterior"]["x"].values
    gm.sample(model, sampler(), draws=25, store=tmp_path / "run.zarr", **run).close()
    with gm.resume(tmp_path / "run.zarr", model, sampler(), draws=40, progress=False) as tree:
        np.testing.assert_array_equal(tree["posterior"]["x"].values, whole)


def test_a_unit_mass_that_is_estimated_may_be_a_number():
    sampler = gm.from_blackjax(blackjax.mclmc, step_size=0.1, L=1.0, inverse_mass_matrix=1.0, adapts=TUNED[:1])
    assert sampler.inverse_mass is None
    tree = gm.sample(target(), sampler, draws=10, warmup=100, progress=False)
    assert tree["posterior"].sizes["draw"] == 10


def test_what_cannot_be_used_is_refused_with_a_fix():
    with pytest.raises(gm.SpecError, match=r"from_blackjax\(blackjax.mcmc.nuts\): the maker says:.*step_size"):
        gm.from_blackjax(blackjax.nuts)
    with pytest.raises(gm.SpecError, match=r"the maker says:.*wrong"):
        gm.from_blackjax(blackjax.mala, step_size=0.1, wrong=3)
    with pytest.raises(gm.SpecError, match=r"from_blackjax\(3\): a maker is needed"):
        gm.from_blackjax(3)
    with pytest.raises(gm.SpecError, match=r"an algorithm with init and step is needed, it made float"):
        gm.from_blackjax(lambda log_density: 1.0)
    sampler = gm.from_blackjax(blackjax.elliptical_slice, mean=np.zeros(2), cov=np.eye(2), adapts=TUNED[1:])
    with pytest.raises(gm.SpecError, match=r"step_size=None.*: a first step is needed"):
        gm.sample(gm.energy(energy, x=gm.Real(2)), sampler, draws=2, warmup=2, progress=False)


def test_a_kernel_without_a_step_size_runs():
    """Elliptical slices of N(0, I) times a likelihood: the log-density given to it is the likelihood."""
    model = gm.energy(lambda x: 0.5 * jnp.sum((x - 1.0) ** 2), x=gm.Real(2))
    sampler = gm.from_blackjax(blackjax.elliptical_slice, mean=np.zeros(2), cov=np.eye(2))
    tree = gm.sample(model, sampler, draws=4000, warmup=100, progress=False)
    x = tree["posterior"]["x"].values
    assert abs(x.mean() - 0.5) < 0.03  # N(1/2, 1/2)
    assert abs(x.var() - 0.5) < 0.03
    assert "step_size" not in tree["sample_stats"]


def test_the_program_of_the_docs_runs():
    page = (pathlib.Path(__file__).parents[2] / "docs/howto/foreign_kernels.md").read_text()
    model = re.search(r"```{code-cell} python\n(.*?)```", page, re.S)
    block = re.search(r"```python\n(import blackjax.*?)```", page, re.S)
    told = []
    names = {"print": told.append}
    exec(model[1] + block[1], names)
    assert names["tree"]["posterior"].sizes["draw"] == 1000
    assert isinstance(told[0], gm.Report)
    assert told[0].status != "failed"


def test_blackjax_is_not_imported_by_gmdsl():
    code = "import sys, gmdsl as gm; gm.from_blackjax; print('blackjax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_trees_at_the_limit_are_told_with_the_name_of_the_setting():
    model = gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.array([1e-3, 1.0, 100.0])) ** 2), x=gm.Real(3))
    settings = {"step_size": 0.1, "inverse_mass_matrix": np.ones(3), "max_num_doublings": 3}
    sampler = gm.from_blackjax(blackjax.nuts, **settings, adapts=gm.adapt.StepSize(0.8), lockstep=False)
    found = gm.check(gm.sample(model, sampler, draws=300, warmup=300, seed=0, progress=False))["tree depth"]
    assert found.status == "suspect"
    assert "max_num_doublings" in found.advice


def test_trees_below_the_limit_are_ok():
    settings = {"step_size": 0.3, "inverse_mass_matrix": MASS}
    sampler = gm.from_blackjax(blackjax.nuts, **settings, lockstep=False)
    tree = gm.sample(gm.energy(energy, x=gm.Real(2)), sampler, draws=300, warmup=0, seed=0, progress=False)
    assert gm.check(tree)["tree depth"].status == "ok"
