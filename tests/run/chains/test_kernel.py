import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import chain_words
from gmdsl.run.chains.block import start_chains
from gmdsl.run.chains.kernel import make_kernel
from gmdsl.run.chains.setup import RunPlan, prepared
from gmdsl.run.chains.starts import started


@pytest.fixture
def posterior():
    model = gm.joint(m=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0), y=lambda m, s: dist.Normal(m, s).expand([3]))
    return model.condition(y=[0.5, 1.0, -0.3])


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # so short a warm-up overflows now and then
@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.MALA(), gm.HMC(), gm.RandomWalk(), gm.Langevin(0.01)])
def test_chains_side_by_side_equal_chains_one_after_the_other(posterior, sampler, x64):
    runs = [
        gm.sample(posterior, sampler, draws=30, warmup=20, chain_mode=mode, progress=False)["posterior"]
        for mode in ("vmap", "map", "tile")
    ]
    for name in ("m", "s"):
        for other in runs[1:]:
            np.testing.assert_allclose(runs[0][name].values, other[name].values, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("cpu")
def test_many_chains_run_in_tiles_as_they_run_one_by_one(posterior, x64):
    runs = [
        gm.sample(posterior, gm.MALA(), chains=131, draws=5, warmup=0, chain_mode=mode, progress=False)
        for mode in (None, "vmap")
    ]
    assert runs[0].attrs["chain_mode"] == "tile"
    np.testing.assert_allclose(runs[0]["posterior"]["m"].values, runs[1]["posterior"]["m"].values, rtol=1e-9)


def test_a_run_does_not_depend_on_how_it_is_cut_into_blocks(posterior, monkeypatch):
    whole = gm.sample(posterior, gm.NUTS(), draws=40, warmup=60, progress=False)
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 7)
    cut = gm.sample(posterior, gm.NUTS(), draws=40, warmup=60, progress=False)
    np.testing.assert_array_equal(whole["posterior"]["m"].values, cut["posterior"]["m"].values)
    np.testing.assert_array_equal(whole["sample_stats"]["n_steps"].values, cut["sample_stats"]["n_steps"].values)


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # an untuned step overflows now and then
def test_thinning_keeps_every_so_many_draws_of_the_same_chain(posterior):
    every = gm.sample(posterior, gm.MALA(), draws=60, warmup=0, progress=False)["posterior"]["m"].values
    third = gm.sample(posterior, gm.MALA(), draws=20, warmup=0, thin=3, progress=False)["posterior"]["m"].values
    np.testing.assert_array_equal(third, every[:, 2::3])


def test_more_draws_continue_the_same_chain(posterior):
    short = gm.sample(posterior, gm.HMC(), draws=20, warmup=50, progress=False)["posterior"]["m"].values
    longer = gm.sample(posterior, gm.HMC(), draws=50, warmup=50, progress=False)["posterior"]["m"].values
    np.testing.assert_array_equal(short, longer[:, :20])


def test_the_same_run_again_compiles_nothing_even_with_new_data_or_settings(posterior, compilations):
    gm.sample(posterior, gm.NUTS(), draws=10, warmup=10, progress=False)
    del compilations[:]
    base = gm.joint(m=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0), y=lambda m, s: dist.Normal(m, s).expand([3]))
    gm.sample(base.condition(y=[9.0, 8.0, 7.0]), gm.NUTS(step_size=0.3), draws=25, warmup=10, seed=5, progress=False)
    assert compilations == []


class Broken(gm.Sampler):
    what: str = "shape"

    def step(self, key, target, x):
        if self.what == "shape":
            return x[:1], {}
        if self.what == "dtype":
            return x.astype(jnp.int32), {}
        if self.what == "structure":
            return (x, x), {}
        return x


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shape", r"float32\[2\] and came out as float32\[1\]"),
        ("dtype", r"came out as int32"),
        ("structure", "Keep one structure"),
        ("pair", r"must return \(state, stats\)"),
    ],
)
def test_a_step_that_breaks_the_contract_is_named(posterior, what, message):
    with pytest.raises(gm.SpecError, match=r"Broken.step(.|\n)*" + message):
        gm.sample(posterior, Broken(what), draws=2, warmup=0, progress=False)


class Drift(gm.Sampler):
    """Moves by step_size without looking: shows what the driver hands to a step."""

    step_size: float = 0.5
    count: int = 2
    adapts = gm.adapt.StepSize(target_accept=0.5)

    def step(self, key, target, x):
        assert isinstance(self.count, int)
        assert self.step_size.dtype == x.dtype
        return x + self.step_size * self.count, {"acceptance_rate": jnp.float32(0.5)}


def test_floats_are_arrays_and_whole_numbers_stay_static_inside_a_step(posterior):
    tree = gm.sample(posterior, Drift(step_size=1), draws=4, warmup=0, init={"m": 0.0, "s": 1.0}, progress=False)
    np.testing.assert_allclose(tree["posterior"]["m"].values[0], [2.0, 4.0, 6.0, 8.0])
    assert (tree["sample_stats"]["step_size"].values == 1.0).all()


def test_each_chain_and_seed_has_its_own_randomness(posterior):
    draws = gm.sample(posterior, gm.MALA(), draws=5, warmup=0, init={"m": 0.0, "s": 1.0}, progress=False)
    other = gm.sample(posterior, gm.MALA(), draws=5, warmup=0, init={"m": 0.0, "s": 1.0}, seed=1, progress=False)
    ends = draws["posterior"]["m"].values[:, -1]
    assert len(set(ends.tolist())) == 4
    assert not np.array_equal(ends, other["posterior"]["m"].values[:, -1])
    assert jax.random.key(0).shape == ()


class Silent(gm.Sampler):
    step_size: float = 1.0
    adapts = gm.adapt.StepSize()

    def step(self, key, target, x):
        return x, {}


class Half(gm.Sampler):
    def init(self, key, target, x):
        return (x, 0.0)

    def step(self, key, target, state):
        return state, {}


class Counter(gm.Adapter):
    def start(self, sampler, dim):
        return 0, sampler

    def update(self, state, sampler, position, score, stats):
        return state + 0.5, sampler

    def finish(self, state, sampler):
        return sampler


class Counted(Silent):
    adapts = Counter()


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Silent(), r"Silent.step\(...\): StepSize needs the stat 'acceptance_rate', but the step gives none"),
        (Half(), r"Half.init\(...\): a sampler that gives init must give position too"),
        (Counted(), r"Counter.update\(...\): its state went in as .*int32.* and came out as .*float32"),
    ],
)
def test_what_adapters_and_states_need_is_checked_before_anything_runs(posterior, sampler, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.sample(posterior, sampler, draws=2, warmup=2, progress=False)


class Flagging(gm.Sampler):
    """Diverges at every third step."""

    def init(self, key, target, x):
        return {"x": x, "n": jnp.int32(0)}

    def position(self, state):
        return state["x"]

    def step(self, key, target, state):
        n = state["n"] + 1
        return {"x": state["x"] + 1.0, "n": n}, {"diverging": n % 3 == 0, "n": n}


def test_thinned_records_keep_the_flags_of_the_steps_between_them(posterior):
    stats = gm.sample(posterior, Flagging(), draws=4, warmup=0, thin=4, progress=False)["sample_stats"]
    assert stats["n"].values[0].tolist() == [4, 8, 12, 16]
    assert stats["diverging"].values[0].tolist() == [True, True, True, True]
    stats = gm.sample(posterior, Flagging(), draws=4, warmup=0, thin=2, progress=False)["sample_stats"]
    assert stats["diverging"].values[0].tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gm.NUTS(step_size=-1.0), "a step is above zero"),
        (lambda: gm.MALA(target_accept=1.5), "a number between 0 and 1"),
        (lambda: gm.HMC(steps=2.5), "at least one leapfrog step"),
        (lambda: gm.HMC(inverse_mass=jnp.ones(3)), r"inverse_mass=...\): shape \(3,\), the flat vector has length 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(posterior, build, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.sample(posterior, build(), draws=2, warmup=2, progress=False)


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # so short a warm-up overflows now and then
@pytest.mark.parametrize("step", [np.int64(1), np.float32(0.5), 1])
def test_numpy_numbers_are_settings_too(posterior, step):
    tree = gm.sample(posterior, gm.NUTS(step_size=step), draws=2, warmup=5, progress=False)
    assert tree["warmup_sample_stats"]["step_size"].values[0, 0] == step


def test_starts_in_tiles_are_those_side_by_side():
    """A number of chains that no tile divides, too."""
    density = gm.compile(gm.energy(lambda x: 0.5 * x @ x + jnp.cos(x[0]), x=gm.Real(3)))
    for chains in (257, 300):
        found = []
        for mode in ("tile", "vmap"):
            setup = prepared(density, gm.MALA(), RunPlan(chains, 1, 0, 5, 1, mode))
            found.append(started(setup, None).state)
        x = np.asarray(found[0].position, float)
        np.testing.assert_allclose(found[0].log_density, -0.5 * (x**2).sum(1) - np.cos(x[:, 0]), rtol=1e-5)
        for tiled, whole in zip(*found, strict=True):
            np.testing.assert_allclose(tiled, whole, rtol=1e-6)


@pytest.mark.parametrize("sampler", [gm.Langevin(0.1), gm.NUTS(), gm.SGLD(0.1)], ids=lambda s: type(s).__name__)
def test_a_start_is_evaluated_once(sampler):
    """The check of a start and the state of the sampler share one evaluation."""
    density = gm.compile(gm.energy(lambda x: jnp.cosh(x[0]) + x[1] ** 2, x=gm.Real(2)))
    kernel, arrays = make_kernel(density.target, sampler, "vmap", 10, 1)
    target, x = density.target, np.array([[0.5, 1.0]], np.float32)
    start = lambda x: start_chains(kernel, target, arrays, chain_words(0, range(1)), x)  # noqa: E731
    assert str(jax.make_jaxpr(start)(x)).count("name=_density_and_score") == 1
    carry, lp, smooth = start(x)
    np.testing.assert_allclose(lp, [-np.cosh(0.5) - 1.0], rtol=1e-6)
    np.testing.assert_allclose(carry.state.score, [[-np.sinh(0.5), -2.0]], rtol=1e-6)
    assert smooth.all()
