import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.samplers.discrete import gibbs_with_gradients
from tests.cases.test_discrete import GLASS, MACHINE, glass, machine
from tests.samplers.balance import LIMIT, worst_imbalance, z_of


@pytest.mark.parametrize("changes", [1, 2])
def test_each_flux_is_balanced(changes):
    worst, moves = worst_imbalance(gm.GibbsWithGradients(changes=changes))
    assert worst < LIMIT
    assert moves > 0.3


def test_a_proposal_without_its_way_back_is_seen(monkeypatch):
    monkeypatch.setattr(gibbs_with_gradients, "log_probability", lambda *_: jnp.zeros(()))
    worst, _ = worst_imbalance(gm.GibbsWithGradients())
    assert worst > 20


def test_a_spin_glass_has_its_moments():
    """Twelve means and four correlations, against all states; |z| < 4.5 for all is a false alarm 1e-4 of the time."""
    tree = gm.sample(glass(), gm.GibbsWithGradients(), chains=4, draws=12_000, warmup=200, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    for i, truth in enumerate(GLASS.arrays["mean"]):
        assert abs(z_of(s[..., i], truth)) < 4.5
    for i in range(0, 12, 3):
        assert abs(z_of(s[..., i] * s[..., i + 1], GLASS.arrays["second_moment"][i, i + 1])) < 4.5
    assert tree["sample_stats"]["acceptance_rate"].values.mean() > 0.5


def test_a_boltzmann_machine_has_its_moments_with_several_changes():
    """Eighteen means; |z| < 4.5 for all is a false alarm 1e-4 of the time."""
    tree = gm.sample(
        machine(), gm.GibbsWithGradients(changes=2), chains=4, draws=6000, warmup=200, seed=2, progress=False
    )
    for name in ("v", "h"):
        draws = tree["posterior"][name].values.astype(float)
        for i, truth in enumerate(MACHINE.arrays[f"E_{name}"]):
            assert abs(z_of(draws[..., i], truth)) < 4.5


def test_labels_beside_real_numbers():
    """A mixture of two in blocks, against the same with its labels summed out."""
    y = np.array([-1.2, -0.7, 0.1, 1.9, 2.4, 2.2, 3.1])

    def made(label):
        return gm.joint(
            share=dist.Beta(2.0, 2.0), gap=dist.Normal(2.0, 1.0), **label,
            y=lambda gap, k: dist.Normal(gap * k, 0.8),
        ).condition(y=y)  # fmt: skip

    model = made({"k": lambda share: dist.Bernoulli(share).expand([7])})
    kernel = gm.blocks({"k": gm.GibbsWithGradients(changes=2), ("share", "gap"): gm.NUTS()})
    tree = gm.sample(model, kernel, chains=4, draws=1500, warmup=300, seed=3, progress=False)
    exact = gm.sample(model.marginalize("k"), gm.NUTS(), chains=4, draws=1500, warmup=300, seed=4, progress=False)
    for name in ("share", "gap"):
        one, other = (t["posterior"][name].values.astype(float) for t in (tree, exact))
        z = z_of(one, other.mean()) / np.sqrt(1 + (z_error(other) / z_error(one)) ** 2)
        assert abs(z) < 4.0


def z_error(draws):
    import arviz_stats

    return float(arviz_stats.mcse(draws, method="mean"))


def test_a_law_of_many_values():
    """A chain of five labels with a table of transitions: the differences of all values at once."""
    table = np.array([[1.0, -0.5, 0.2], [0.1, 0.8, -1.0], [-0.3, 0.4, 0.9]])
    model = gm.energy(
        lambda k, table: -jnp.sum(table[k[:-1], k[1:]]) - 0.5 * (k[0] == 2),
        k=gm.Categorical(3, 5),
        table=gm.data(table),
    )
    tree = gm.sample(model, gm.GibbsWithGradients(), chains=4, draws=6000, warmup=100, seed=5, progress=False)
    k = tree["posterior"]["k"].values
    exact = gm.expectation(model, lambda v: (v["k"][:, None] == jnp.arange(3)).astype(float)).value
    for i in range(5):
        for v in range(3):
            assert abs(z_of((k[..., i] == v).astype(float), exact[i, v])) < 4.5


@pytest.mark.parametrize("sampler", [gm.GibbsWithGradients(), gm.DiscreteLangevin()])
def test_states_of_probability_zero_and_nan_are_never_entered(sampler):
    for wrong, seen in ((jnp.inf, False), (jnp.nan, True)):
        model = gm.energy(
            lambda k, wrong=wrong: jnp.where(k[0] == 1, wrong, 0.0) + 0.3 * k[1] * k[0], k=gm.Categorical(3, 2)
        )
        tree = gm.sample(model, sampler, chains=2, draws=300, warmup=50, progress=False)
        assert set(np.unique(tree["posterior"]["k"].values[..., 0])) == {0, 2}
        assert not tree["sample_stats"]["nan_evaluations"].values.any() or seen


def test_an_even_number_of_changes_keeps_no_parity():
    """The sum of three spins without a field takes all of its four values, each with its probability."""
    model = gm.energy(lambda s: -0.2 * s[0] * s[1] - 0.1 * s[2], s=gm.Spin(3))
    tree = gm.sample(model, gm.GibbsWithGradients(changes=2), chains=4, draws=2000, warmup=50, seed=6, progress=False)
    product = tree["posterior"]["s"].values.prod(axis=-1).astype(float)
    assert abs(z_of(product, float(gm.expectation(model, lambda v: jnp.prod(v["s"]) * 1.0).value))) < 4.5
    assert (product.min(axis=1) < product.max(axis=1)).all()


def test_what_it_is_not_meant_for_is_refused():
    with pytest.raises(gm.SpecError, match=r"x is continuous.*Move them by a sampler of real variables"):
        gm.sample(gm.joint(x=dist.Normal(0, 1)), gm.GibbsWithGradients(), progress=False)
    with pytest.raises(gm.SpecError, match="n has infinitely many values"):
        gm.sample(gm.joint(n=dist.Poisson(3.0)), gm.GibbsWithGradients(), progress=False)
    with pytest.raises(gm.SpecError, match="whole number above 0"):
        gm.GibbsWithGradients(changes=0)
    model = gm.energy(lambda s: 0.1 * jnp.sum(s), s=gm.Spin(3))
    with pytest.raises(gm.SpecError, match="there are 3 elements"):
        gm.sample(model, gm.GibbsWithGradients(changes=4), progress=False)
    blind = gm.energy(lambda s: jnp.where(jnp.sum(s) == 1, 0.0, 2.0), s=gm.Spin(3))
    with pytest.raises(gm.SpecError, match=r"no differences.*Use gm\.Gibbs"):
        gm.sample(blind, gm.GibbsWithGradients(), progress=False)


def test_the_probability_of_a_draw_without_replacement_sums_to_one():
    weights = jnp.log(jnp.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.3], [0.2, 5.0, 0.0], [0.7, 0.0, 0.0]]))
    pairs = [(i, j, a, b) for i in range(4) for j in range(4) if i != j for a in range(3) for b in range(3)]
    i, j, a, b = (jnp.array(column) for column in zip(*pairs, strict=True))
    found = jax.vmap(gibbs_with_gradients.log_probability, (None, 0, 0, None))(
        weights, jnp.stack([i, j], axis=1), jnp.stack([a, b], axis=1), jnp.array([True, True])
    )
    assert float(jnp.exp(found).sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("sampler", [gm.GibbsWithGradients(), gm.DiscreteLangevin()])
def test_chains_of_a_fit(sampler):
    """The fields of spins by contrastive divergence: at the optimum tanh(h) are the means of the data."""
    data = np.where(np.random.default_rng(0).random((400, 4)) < np.array([0.2, 0.5, 0.7, 0.35]), 1, -1)
    model = gm.energy(lambda s, h: -s @ h, s=gm.Spin(4), h=gm.param(np.zeros(4)))
    objective, optimizer = gm.ContrastiveDivergence(sampler=sampler), optax.adam(0.02)
    fit = gm.fit(model, {"s": data}, objective, optimizer=optimizer, steps=300, progress=False)
    assert np.abs(np.tanh(fit.model.params["h"].value) - data.mean(0)).max() < 0.25
