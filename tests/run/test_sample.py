import importlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

sample_module = importlib.import_module("gmdsl.run.sample")


@pytest.fixture
def model():
    return gm.joint(
        m=dist.Normal(0.0, 1.0),
        w=dist.Dirichlet(np.ones(3)),
        t=lambda m: 2.0 * m,
        y=lambda m, s: dist.Normal(m, s),
        s=gm.data([1.0, 2.0]),
        dims={"w": ["part"], "y": ["obs"]},
        coords={"part": ["a", "b", "c"], "obs": [10, 20]},
    ).condition(y=[0.3, -0.4])


def test_the_tree_has_arviz_groups_named_axes_and_all_variables(model):
    tree = gm.sample(model, gm.NUTS(), chains=3, draws=20, warmup=30, progress=False)
    for twin in ("posterior", "sample_stats", "unconstrained_posterior"):
        assert tree[twin].sizes["draw"] == 20
        assert tree[f"warmup_{twin}"].sizes["draw"] == 30
    assert tree["posterior"]["w"].dims == ("chain", "draw", "part")
    assert tree["posterior"]["part"].values.tolist() == ["a", "b", "c"]
    assert tree["observed_data"]["y"].dims == ("obs",)
    assert tree["constant_data"]["s"].values.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(tree["posterior"]["t"], 2 * tree["posterior"]["m"], rtol=1e-6)
    np.testing.assert_allclose(tree["posterior"]["w"].sum("part"), 1.0, rtol=1e-5)
    assert tree["unconstrained_posterior"]["w"].shape == (3, 20, 2)
    assert tree.attrs["seed"] == 0
    assert tree.attrs["sampler"] == "NUTS"


def test_lp_is_the_log_density_of_the_flat_target_for_every_sampler(model):
    density = gm.compile(model)
    for sampler in (gm.NUTS(), gm.Langevin(0.05), gm.RandomWalk()):
        tree = gm.sample(model, sampler, chains=2, draws=7, warmup=5, progress=False)
        point = {name: tree["posterior"][name].values[1, 3] for name in ("m", "w")}
        expected = density.target.log_density(density.unconstrain(point))
        np.testing.assert_allclose(tree["sample_stats"]["lp"].values[1, 3], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": gm.NUTS}, r"NUTS is a class. Pass an instance, NUTS\(\)"),
        ({"sampler": "nuts"}, "a sampler is needed second, not 'nuts'"),
        ({"model": 3}, "a model is needed first"),
        ({"chains": 0}, "chains=0.*at least 1"),
        ({"draws": 1.5}, "draws=1.5"),
        ({"warmup": -1}, "warmup=-1"),
        ({"thin": 0}, "thin=0"),
        ({"seed": "a"}, "seed='a'"),
        ({"chain_mode": "pmap"}, "the modes are 'vmap', 'map'"),
    ],
)
def test_settings_out_of_range_are_refused(model, arguments, message):
    given = {"model": model, "sampler": gm.NUTS(), **arguments}
    with pytest.raises(gm.SpecError, match=message):
        gm.sample(given.pop("model"), given.pop("sampler"), progress=False, **given)


def test_a_discrete_variable_is_named_with_the_ways_out():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(k, 1.0)).condition(x=1.0)
    with pytest.raises(gm.SpecError, match=r"k was declared Binary.*NUTS moves.*, model.marginalize\('k'\)"):
        gm.sample(model, gm.NUTS())


def test_nothing_free_is_an_error():
    with pytest.raises(gm.SpecError, match="every variable is observed"):
        gm.sample(gm.joint(x=dist.Normal(0, 1)).condition(x=0.0), gm.NUTS())


class RandomWalk(gm.Sampler):
    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        log_ratio = target.log_density(proposal) - target.log_density(x)
        return gm.metropolis(key_accept, x, proposal, log_ratio)


def test_a_sampler_of_one_method_gets_warm_up_chains_and_export(model):
    tree = gm.sample(model, RandomWalk(), draws=20_000, progress=False)
    m = tree["posterior"]["m"].values
    # m given y: precision 1 + 1 + 1/4, mean (0.3 - 0.4 / 4) / 2.25
    import arviz as az

    z = (m.mean() - 0.2 / 2.25) / (m.std() / np.sqrt(float(az.ess(m, method="mean"))))
    assert abs(z) < 4.5
    assert abs(m.std() - 2.25**-0.5) < 0.03
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.234) < 0.1
    steps = tree["sample_stats"]["step_size"].values
    assert (steps == steps[:, :1]).all()


def test_the_log_likelihood_comes_on_request(model):
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=10, warmup=10, progress=False, log_likelihood=True)
    m = tree["posterior"]["m"].values[..., None]
    exact = dist.Normal(m, jnp.array([1.0, 2.0])).log_prob(jnp.array([0.3, -0.4]))
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values, exact, rtol=1e-5)


@pytest.mark.parametrize("late", ["build_tree", "_add_log_likelihood"])
def test_ctrl_c_while_the_tree_is_made_keeps_every_draw_and_says_so(monkeypatch, late):
    def sampled():
        model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0)).condition(y=0.5)
        settings = {"chains": 2, "draws": 30, "warmup": 30, "progress": False}
        return gm.sample(model, gm.NUTS(), log_likelihood=True, **settings)

    whole, made = sampled(), getattr(sample_module, late)

    def pressed(*given, **settings):
        signal.raise_signal(signal.SIGINT)
        return made(*given, **settings)

    monkeypatch.setattr(sample_module, late, pressed)
    found = sampled()
    np.testing.assert_array_equal(found["posterior"]["mu"].values, whole["posterior"]["mu"].values)
    assert found["log_likelihood"]["y"].shape == whole["log_likelihood"]["y"].shape
    assert found.attrs["interrupted"] == found["posterior"].attrs["interrupted"] == 1
    assert whole.attrs["interrupted"] == 0


@pytest.mark.parametrize("store", ["s3://bucket/run.zarr", "file:///tmp/run.zarr", "", 3, b"run.zarr"])
def test_a_store_that_is_no_local_path_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bowl = gm.energy(lambda x: x @ x, x=gm.Real(2))
    for call in (lambda: gm.sample(bowl, gm.NUTS(), store=store), lambda: gm.resume(store, bowl, gm.NUTS())):
        with pytest.raises(gm.SpecError, match=r"store=.*'run\.zarr'"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sampler", [gm.SMC(gm.HMC(), 100), gm.Laplace()], ids=lambda s: type(s).__name__)
def test_a_store_is_refused_where_there_are_no_chains(sampler, tmp_path):
    posterior = gm.joint(a=dist.Normal(0.0, 1.0), y=lambda a: dist.Normal(a, 1.0)).condition(y=1.0)
    with pytest.raises(gm.SpecError, match="only chains are streamed to a store"):
        gm.sample(posterior, sampler, draws=10, store=tmp_path / "run.zarr", progress=False)
    assert not (tmp_path / "run.zarr").exists()
