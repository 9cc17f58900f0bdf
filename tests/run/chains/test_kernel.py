import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def posterior():
    model = gm.joint(m=dist.Normal(0.0, 1.0), s=dist.HalfNormal(1.0), y=lambda m, s: dist.Normal(m, s).expand([3]))
    return model.condition(y=[0.5, 1.0, -0.3])


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
