import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.exact.conditionals import pairwise
from tests.cases.scoring import load

ISING, GLASS, MACHINE = (load("discrete", name) for name in ("ising_4x4", "spin_glass_12", "rbm_10x8"))


def z_of(draws, truth):
    """z-score of a mean over chains, with the effective size of its autocorrelated draws."""
    return (draws.mean() - truth) / float(arviz_stats.mcse(draws, method="mean"))


def test_a_sweep_of_one_element_draws_from_the_full_conditional(x64):
    model = gm.joint(k=dist.Categorical(np.array([0.2, 0.3, 0.5])), x=lambda k: dist.Normal(2.0 * k, 1.0)).condition(
        x=1.5
    )
    target = FlatTarget.of(model)
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = np.asarray(jax.vmap(lambda key: gm.Gibbs().step(key, target, jnp.zeros(1))[0])(keys))[:, 0]
    weight = np.array([0.2, 0.3, 0.5]) * np.exp(-0.5 * (1.5 - 2.0 * np.arange(3)) ** 2)
    weight /= weight.sum()
    for k in range(3):
        assert abs((drawn == k).mean() - weight[k]) < 4.5 * np.sqrt(weight[k] * (1 - weight[k]) / 20_000)


def test_a_field_of_spins_has_its_exact_moments():
    """A 3 x 3 torus with a field, against all 512 states; three z-scores, false alarm 2e-5."""

    def energy(s):
        s = s.astype(float)
        return -0.25 * jnp.sum(s * jnp.roll(s, 1, 0)) - 0.15 * jnp.sum(s * jnp.roll(s, 1, 1)) - 0.1 * jnp.sum(s[0])

    model = gm.energy(energy, s=gm.Spin(3, 3))
    tree = gm.sample(model, gm.Gibbs(), chains=4, draws=2500, warmup=50, seed=1, progress=False)
    s = tree["posterior"]["s"].values
    assert s.dtype.kind == "i"
    assert set(np.unique(s)) == {-1, 1}
    exact = gm.expectation(
        model, lambda v: jnp.stack([jnp.sum(v["s"]), v["s"][0, 0] * v["s"][1, 1], v["s"][2, 2]]).astype(float)
    )
    drawn = [s.sum(axis=(2, 3)), s[..., 0, 0] * s[..., 1, 1], s[..., 2, 2]]
    for found, truth in zip(drawn, exact.value, strict=True):
        assert abs(z_of(found.astype(float), truth)) < 4.3
    assert set(tree["sample_stats"].data_vars) >= {"changed", "nan_evaluations", "lp"}


def test_variables_of_different_sizes_keep_to_their_values():
    model = gm.joint(
        a=dist.Bernoulli(0.3),
        b=lambda a: dist.Categorical(
            jnp.where(a == 1, jnp.array([0.1, 0.1, 0.1, 0.7]), jnp.array([0.7, 0.1, 0.1, 0.1]))
        ),
    )
    tree = gm.sample(model, gm.Gibbs(), chains=4, draws=3000, warmup=20, progress=False)
    a, b = tree["posterior"]["a"].values, tree["posterior"]["b"].values
    assert (set(np.unique(a)), set(np.unique(b))) == ({0, 1}, {0, 1, 2, 3})
    assert abs(z_of(a.astype(float), 0.3)) < 4.0
    assert abs(z_of((b == 3).astype(float), 0.3 * 0.7 + 0.7 * 0.1)) < 4.0


def test_states_of_probability_zero_and_nan_are_never_entered():
    model = gm.joint(k=dist.Categorical(np.array([0.5, 0.0, 0.5], "float32")))
    tree = gm.sample(model, gm.Gibbs(), chains=2, draws=300, warmup=5, progress=False)
    assert set(np.unique(tree["posterior"]["k"].values)) == {0, 2}
    broken = gm.energy(lambda k: jnp.where(k == 1, jnp.nan, 0.0) * 1.0, k=gm.Categorical(3))
    with pytest.warns(gm.NaNWarning):
        tree = gm.sample(broken, gm.Gibbs(), chains=2, draws=300, warmup=5, progress=False)
    assert set(np.unique(tree["posterior"]["k"].values)) == {0, 2}
    assert tree["sample_stats"]["nan_evaluations"].values.all()


def test_continuous_and_endless_variables_are_refused():
    with pytest.raises(gm.SpecError, match=r"x is continuous.*gm\.MALA"):
        gm.sample(gm.joint(x=dist.Normal(0, 1)), gm.Gibbs(), progress=False)
    model = gm.joint(a=dist.Normal(0, 1), b=dist.Normal(0, 1), y=lambda a, b: dist.Normal(a + b, 1.0)).condition(y=0.5)
    with pytest.raises(gm.SpecError, match=r"a, b are continuous.*gm\.MALA"):
        gm.sample(model, gm.SMC(gm.Gibbs()), progress=False)
    with pytest.raises(gm.SpecError, match=r"gm\.blocks\(\{'k': gm\.Gibbs\(\), 'x': gm\.NUTS\(\)\}\)"):
        gm.sample(gm.joint(k=dist.Bernoulli(0.5), x=dist.Normal(0, 1)), gm.Gibbs(), progress=False)
    with pytest.raises(gm.SpecError, match="n has infinitely many values"):
        gm.sample(gm.joint(n=dist.Poisson(3.0)), gm.Gibbs(), progress=False)


def scored(moments, truth):
    """z-scores of means over chains of functions of the draws, one per column."""
    return np.array([z_of(moments[..., i], truth[i]) for i in range(len(truth))])


def test_the_ising_model_of_sixteen_spins_at_the_critical_point():
    """Energy and two moments of the magnetisation, with the strength as data; false alarm 2e-4."""
    row = ISING.meta["table"][4]
    energy = lambda s, beta: -beta * jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1)))  # noqa: E731
    model = gm.energy(energy, s=gm.Spin(4, 4), beta=gm.data(row["beta"]))
    tree = gm.sample(model, gm.Gibbs(sweeps=5), chains=16, draws=1000, warmup=20, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    energies = -np.sum(s * (np.roll(s, 1, 2) + np.roll(s, 1, 3)), (2, 3))
    total = np.abs(s.sum((2, 3)))
    found = scored(np.stack([energies, total, total**2], -1), [row["E_mean"], row["E_absM"], row["E_M2"]])
    assert np.abs(found).max() < 4.0


def test_a_spin_glass_of_twelve_has_its_exact_moments():
    """78 z-scores; false alarm 1e-3."""
    energy = lambda s, J, h: -(s @ jnp.triu(J, 1) @ s + h @ s)  # noqa: E731
    model = gm.energy(energy, s=gm.Spin(12), J=gm.data(GLASS.arrays["J"]), h=gm.data(GLASS.arrays["h"]))
    tree = gm.sample(model, gm.Gibbs(sweeps=20), chains=16, draws=1000, warmup=20, seed=2, progress=False)
    s, (i, j) = tree["posterior"]["s"].values.astype(float), np.triu_indices(12, 1)
    moments = np.concatenate([s, s[..., i] * s[..., j]], -1)
    truth = np.concatenate([GLASS.arrays["mean"], GLASS.arrays["second_moment"][i, j]])
    assert np.abs(scored(moments, truth)).max() < 4.4


def test_a_boltzmann_machine_has_its_exact_moments_layer_by_layer():
    """98 z-scores; false alarm 1e-3."""
    numbers = {name: gm.data(MACHINE.arrays[name]) for name in ("W", "b", "c")}
    energy = lambda v, h, W, b, c: -(v @ b + h @ c + v @ W @ h)  # noqa: E731
    model = gm.energy(energy, v=gm.Binary(10), h=gm.Binary(8), **numbers)
    tree = gm.sample(model, gm.Gibbs(sweeps=10), chains=16, draws=1000, warmup=20, seed=3, progress=False)["posterior"]
    v, h = tree["v"].values.astype(float), tree["h"].values.astype(float)
    both = (v[..., :, None] * h[..., None, :]).reshape(*v.shape[:2], -1)
    truth = np.concatenate([MACHINE.arrays["E_v"], MACHINE.arrays["E_h"], MACHINE.arrays["E_vh"].ravel()])
    assert np.abs(scored(np.concatenate([v, h, both], -1), truth)).max() < 4.5


def test_named_scalars_are_drawn_as_the_elements_of_one_array_are():
    """A ring of 24 named spins and one array of 24: the same draws of the same seed."""
    names = [f"s{i:02}" for i in range(24)]
    bonds = " + ".join(f"{a} * {b}" for a, b in zip(names, names[1:] + names[:1], strict=True))
    named = gm.energy(eval(f"lambda {', '.join(names)}: -0.4 * ({bonds})"), **dict.fromkeys(names, gm.Spin()))
    array = gm.energy(lambda s: -0.4 * jnp.sum(s * jnp.roll(s, -1)), s=gm.Spin(24))
    settings = {"chains": 2, "draws": 40, "warmup": 2, "seed": 4, "progress": False}
    one, other = (gm.sample(model, gm.Gibbs(), **settings)["posterior"] for model in (named, array))
    found = np.stack([one[name].values for name in names], -1)
    assert (found == other["s"].values).all()


def test_couplings_that_move_with_a_continuous_variable_are_those_of_the_moment():
    """A ring of six whose strength b is drawn, too: joint moments against quadrature over b; four z-scores."""
    ring = lambda s: jnp.sum(s * jnp.roll(s, 1))  # noqa: E731
    model = gm.energy(lambda s, b: 0.5 * ((b - 0.3) / 0.4) ** 2 - b * ring(s), s=gm.Spin(6), b=gm.Real())
    sampler = gm.blocks({"s": gm.Gibbs(), "b": gm.HMC()})
    tree = gm.sample(model, sampler, chains=8, draws=3000, warmup=300, seed=5, progress=False)["posterior"]
    s, b = tree["s"].values.astype(float), tree["b"].values
    grid = np.linspace(-3.0, 5.0, 4001)
    states = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    bonds = np.sum(states * np.roll(states, 1, 0), 0)
    weight = np.exp(-0.5 * ((grid[:, None] - 0.3) / 0.4) ** 2 + grid[:, None] * bonds)
    weight /= weight.sum()
    truth = [np.sum(weight * f) for f in (grid[:, None], grid[:, None] ** 2, bonds, grid[:, None] * bonds)]
    found = np.sum(s * np.roll(s, 1, -1), -1)
    assert np.abs(scored(np.stack([b, b**2, found, b * found], -1), truth)).max() < 4.0


def test_labels_of_a_block_do_not_interact_through_the_others(monkeypatch):
    """Labels of a mixture whose means are drawn, too, share one colour."""
    counts, colouring = [], pairwise.colouring
    monkeypatch.setattr(pairwise, "colouring", lambda pairs: counts.append(len(colouring(pairs))) or colouring(pairs))
    model = gm.joint(
        mu=dist.Normal(0.0, 3.0).expand([2]),
        z=dist.Bernoulli(0.4).expand([30]),
        y=lambda mu, z: dist.Normal(mu[z], 1.0),
    ).condition(y=np.linspace(-2.0, 2.0, 30))
    sampler = gm.blocks({"z": gm.Gibbs(), "mu": gm.HMC()})
    gm.sample(model, sampler, chains=2, draws=5, warmup=5, progress=False)
    assert set(counts) == {1}


def test_edges_given_as_data_are_read(monkeypatch):
    """A graph of 40 spins whose edges are data has few colours, alone and as a block; other edges are read anew."""
    counts, colouring = [], pairwise.colouring
    monkeypatch.setattr(pairwise, "colouring", lambda pairs: counts.append(len(colouring(pairs))) or colouring(pairs))

    def model(edges):
        energy = lambda s, b, e: 0.5 * b**2 - 0.3 * jnp.sum(s[e[:, 0]] * s[e[:, 1]])  # noqa: E731
        return gm.energy(energy, s=gm.Spin(40), b=gm.Real(), e=gm.data(edges))

    path = np.stack([np.arange(39), np.arange(1, 40)], 1)
    ring = np.stack([np.arange(39), np.arange(1, 40) % 39], 1)
    settings = {"chains": 2, "draws": 5, "warmup": 5, "progress": False}
    sampler = gm.blocks({"s": gm.Gibbs(), "b": gm.HMC()})
    for edges, colours in ((path, 2), (ring, 3)):
        counts.clear()
        gm.sample(model(edges), sampler, **settings)
        gm.sample(model(edges).condition(b=0.0), gm.Gibbs(), **settings)
        assert set(counts) == {colours}


def test_a_lattice_gas_keeps_its_particles_apart():
    """Hard squares of 3 x 3 with free ends, against all states; two z-scores, and no draw without density."""

    def energy(n):
        pairs = jnp.concatenate([(n[1:] * n[:-1]).ravel(), (n[:, 1:] * n[:, :-1]).ravel()])
        return jnp.sum(jnp.where(pairs > 0, jnp.inf, 0.0)) - 0.7 * jnp.sum(n)

    model = gm.energy(energy, n=gm.Binary(3, 3))
    empty = {"n": np.zeros((3, 3), int)}
    tree = gm.sample(model, gm.Gibbs(), chains=8, draws=2000, warmup=20, seed=6, init=empty, progress=False)
    n = tree["posterior"]["n"].values
    assert not (n[:, :, 1:] * n[:, :, :-1]).any()
    assert not (n[..., 1:] * n[..., :-1]).any()
    states = np.array(np.meshgrid(*[[0, 1]] * 9)).reshape(9, -1).T.reshape(-1, 3, 3)
    apart = ~((states[:, 1:] * states[:, :-1]).any((1, 2)) | (states[..., 1:] * states[..., :-1]).any((1, 2)))
    weight = np.exp(0.7 * states.sum((1, 2))) * apart
    weight /= weight.sum()
    assert abs(z_of(n.sum((2, 3)).astype(float), weight @ states.sum((1, 2)))) < 4.0
    assert abs(z_of(n[..., 1, 1].astype(float), weight @ states[:, 1, 1])) < 4.0


def test_sweeps_are_whole_numbers():
    for number in (0, 1.5, True):
        with pytest.raises(gm.SpecError, match="a whole number of at least 1"):
            gm.Gibbs(sweeps=number)
