"""Chains on several rungs of a path, by a small sampler of parallel tempering: the driver serves it like any other."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.replicas import on_rungs
from gmdsl.inference.path import ReplicaSampler

BETAS = (0.0, 0.1, 0.3, 1.0)


class Copies(NamedTuple):
    inner: Any  # states of the kernels, one per rung
    turn: Any


class Tempering(ReplicaSampler):
    """A step of a kernel on every rung, then swaps of neighbours, of even and of odd rungs in turn."""

    kernel: gm.Sampler
    ladder: tuple = BETAS
    refreshes: bool = True

    @property
    def betas(self):
        return self.ladder

    def init(self, key, target, x):
        states = [self.kernel.init(key, target.rung(k), part) for k, part in enumerate(target.copies(x))]
        return Copies(tuple(states), jnp.zeros((), int))

    def position(self, state):
        return jnp.concatenate([self.kernel.position(inner) for inner in state.inner])

    def step(self, key, target, state):
        key_move, key_swap, key_new = jax.random.split(key, 3)
        moved, accepted = [], []
        for k, inner in enumerate(state.inner):
            inner, told = self.kernel.step(jax.random.fold_in(key_move, k), target.rung(k), inner)
            moved.append(inner)
            accepted.append(told["acceptance_rate"])
        ratios = jnp.stack([target.log_ratio(self.kernel.position(inner)) for inner in moved])
        order, swaps = jnp.arange(len(moved)), jax.random.uniform(key_swap, (len(moved) - 1,))
        for k in range(len(moved) - 1):
            gain = (target.betas[k + 1] - target.betas[k]) * (ratios[order[k]] - ratios[order[k + 1]])
            swap = ((k + state.turn) % 2 == 0) & (jnp.log(swaps[k]) < gain)
            order = jnp.where(swap, order.at[k].set(order[k + 1]).at[k + 1].set(order[k]), order)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *moved)
        taken = [jax.tree.map(lambda leaf, k=k: leaf[order[k]], stacked) for k in range(len(moved))]
        if self.refreshes:
            taken = [self.kernel.refresh(key_new, target.rung(k), inner) for k, inner in enumerate(taken)]
        moves = (order != jnp.arange(len(moved))).mean()
        return Copies(tuple(taken), state.turn + 1), {"acceptance_rate": jnp.stack(accepted).mean(), "swapped": moves}


def two_modes():
    """A quarter of the mass at -4 and the rest at 4, both with standard deviation 0.5; log Z is 1.3."""
    low, high = (lambda x, m=m: -0.5 * ((x - m) / 0.5) ** 2 for m in (-4.0, 4.0))
    shift = 1.3 - np.log(0.5 * np.sqrt(2.0 * np.pi))
    energy = gm.energy(lambda x: -jnp.logaddexp(jnp.log(0.25) + low(x), jnp.log(0.75) + high(x)) - shift, x=gm.Real())
    return gm.temper(energy, gm.joint(x=dist.Normal(0.0, 4.0)))


def test_the_flat_density_is_the_sum_over_the_rungs(x64):
    target, x = on_rungs(two_modes(), BETAS).moved, np.array([0.3, -1.0, 2.0, 4.1])
    reference = stats.norm.logpdf(x, 0.0, 4.0)
    end = 1.3 + np.log(0.25 * stats.norm.pdf(x, -4.0, 0.5) + 0.75 * stats.norm.pdf(x, 4.0, 0.5))
    exact = np.sum((1.0 - np.array(BETAS)) * reference + np.array(BETAS) * end)
    np.testing.assert_allclose(target.log_density(jnp.asarray(x)), exact, rtol=1e-9)
    np.testing.assert_allclose(target.rung(3).log_density(jnp.array([4.1])), end[3], rtol=1e-9)


def test_a_draw_is_the_last_copy_in_the_coordinates_of_the_model_and_a_start_is_one_on_every_rung(x64):
    model = gm.joint(s=dist.HalfNormal(1.0)).condition() * gm.energy(lambda s: s, s=gm.Positive())
    target = on_rungs(gm.temper(model, gm.joint(s=dist.LogNormal(0.0, 1.0))), (0.0, 1.0)).moved
    drawn = target.drawn(jnp.array([0.2, -0.7]))
    np.testing.assert_allclose(drawn, [-0.7], rtol=1e-12)  # both map by the logarithm
    np.testing.assert_allclose(target.started(jnp.array([0.4])), [0.4, 0.4], rtol=1e-12)


def test_swaps_carry_chains_between_modes_that_one_chain_does_not_leave():
    path = two_modes()
    tree = gm.sample(path, Tempering(gm.RandomWalk(1.0)), chains=8, draws=4000, warmup=500, progress=False)
    share = (tree["posterior"]["x"].values > 0).mean(axis=1)
    error = share.std(ddof=1) / np.sqrt(8)
    assert error < 0.03
    assert abs(share.mean() - 0.75) < 5.0 * error  # t with 7 degrees of freedom: false alarms 2e-3
    assert tree["posterior"]["x"].shape == (8, 4000)
    assert 0.05 < float(tree["sample_stats"]["swapped"].mean()) < 0.9
    stuck = gm.sample(path.target, gm.MALA(), chains=8, draws=4000, warmup=500, progress=False)
    assert set((stuck["posterior"]["x"].values > 0).mean(axis=1)) == {0.0, 1.0}


def test_a_stopped_run_on_rungs_goes_on_to_the_same_bits(tmp_path):
    path, sampler = two_modes(), Tempering(gm.MALA(0.3))
    settings = {"chains": 2, "warmup": 20, "progress": False}
    whole = gm.sample(path, sampler, draws=60, **settings)
    gm.sample(path, sampler, draws=30, store=tmp_path / "run.zarr", **settings)
    longer = gm.resume(tmp_path / "run.zarr", path, sampler, draws=60, progress=False)
    np.testing.assert_array_equal(longer["posterior"]["x"].values, whole["posterior"]["x"].values)
    other = gm.temper(path.target, gm.joint(x=dist.Normal(0.0, 5.0)))
    with pytest.raises(gm.SpecError, match="the model differs"):
        gm.resume(tmp_path / "run.zarr", other, sampler, progress=False)


def test_states_that_trade_places_are_refreshed(x64):
    """MALA keeps the score of its target. Without `refresh` a copy that came from another rung moves by a score of that
    rung, and the law at beta = 1 is another one: E x^2 of N(0, 1) under a reference N(0, 3^2)."""
    path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 3.0)))
    settings = {"chains": 16, "draws": 4000, "warmup": 200, "progress": False}

    def z(refreshes):
        sampler = Tempering(gm.MALA(1.0), (0.0, 0.3, 1.0), refreshes)
        means = (gm.sample(path, sampler, **settings)["posterior"]["x"].values ** 2).mean(axis=1)
        return (means.mean() - 1.0) / (means.std(ddof=1) / 4.0)

    assert abs(z(True)) < 4.5
    assert abs(z(False)) > 6.0


def test_a_model_alone_has_no_rungs():
    with pytest.raises(gm.SpecError, match="a path is needed first, not Model"):
        gm.sample(two_modes().target, Tempering(gm.MALA()), progress=False)


def test_copies_begin_at_one_place_so_that_a_wall_does_not_forbid_all_starts():
    """Eleven copies in one of eight octants each would hardly ever be allowed together."""
    wall = gm.energy(lambda x: jnp.where(jnp.all(x > 0.0), 0.5 * jnp.sum(x**2), jnp.inf), x=gm.Real(3))
    path = gm.temper(wall, gm.joint(x=dist.Normal(0.0, 2.0).expand([3]).to_event(1)))
    tree = gm.sample(path, gm.ParallelTempering(gm.MALA(), temperatures=10), draws=400, warmup=200, progress=False)
    assert abs(tree.attrs["log_z"] - 1.5 * np.log(np.pi / 2)) < 4.5 * tree.attrs["log_z_standard_error"] < 0.6
