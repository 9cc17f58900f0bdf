import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats
from jax.scipy.special import logsumexp

import gmdsl as gm
from gmdsl.exact.rule import Rule
from gmdsl.graph.evaluate import log_density

pytestmark = pytest.mark.usefixtures("x64")

Y = np.array([1.4, np.nan, -0.3, np.nan, 2.2])


def test_events_can_be_missing_as_a_whole_and_not_in_part():
    weights = np.array([2.0, 3.0, 4.0])
    model = gm.joint(a=gm.data(weights), x=lambda a: dist.Dirichlet(a).expand([2]))
    x = np.array([[np.nan] * 3, [0.2, 0.3, 0.5]])
    density = gm.compile(model.condition(x=x, missing="marginalise"))
    np.testing.assert_allclose(density.log_density({}), stats.dirichlet(weights).logpdf(x[1]), rtol=1e-12)
    torn = np.array([[0.2, 0.3, 0.5], [np.nan, 0.3, 0.5]])
    with pytest.raises(
        gm.SpecError, match=r"a part of the event x\[1\] is missing, .* p\(x \| a\) is not known. Declare"
    ):
        model.condition(x=torn, missing="marginalise")
    with pytest.raises(gm.SpecError, match="a part of the event"):
        density.with_data(x=torn)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"z": lambda y: dist.Normal(y.sum(), 1.0)}, r"p\(z \| y\) reads y, missing elements included. Declare"),
        ({"total": lambda y: y.sum()}, "total reads y, missing elements included"),
        (
            {"y": gm.scan(lambda before: dist.Laplace(before, 1.0), first=dist.Normal(0, 1), length=5)},
            r"y\[1\] is missing and something after it is not, .* of this path only the end can be missing",
        ),
    ],
)
def test_what_no_rule_integrates_out_is_refused(nodes, message):
    model = gm.joint({"y": dist.Normal(0.0, 1.0).expand([5]), **nodes})
    with pytest.raises(gm.SpecError, match=message):
        model.condition(y=Y, missing="marginalise")


def test_gaps_in_an_energy_or_read_by_a_factor_that_joins_later_are_refused():
    energy = gm.energy(lambda y: jnp.sum(y**2), y=gm.Real(5))
    with pytest.raises(gm.SpecError, match="y is not drawn by a conditional of its own"):
        energy.condition(y=Y, missing="marginalise")
    known = gm.joint(y=dist.Normal(0.0, 1.0).expand([5])).condition(y=Y, missing="marginalise")
    with pytest.raises(gm.SpecError, match=r"product: .* reads y, missing elements included"):
        known * energy


STEP, FIRST = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.6, 0.4])
AT = {"mu": np.array([-1.0, 1.2])}


def hidden_markov(count, emission=lambda z, mu: dist.Normal(mu[z], 0.5), **more):
    return gm.joint(
        step=gm.data(STEP),
        mu=dist.Normal(0.0, 3.0).expand([2]),
        z=gm.scan(lambda before, step: dist.Categorical(step[before]), first=dist.Categorical(FIRST), length=count),
        y=emission,
        **more,
    )


def with_gaps(count, seed=0):
    y = np.random.default_rng(seed).normal(size=count)
    y[[3, 4, count - 1, count - 2]] = np.nan
    return y


def over_all_paths(terms):
    """The log-density of what was seen, by adding up all paths; `terms` are (time, states)."""
    paths = np.array(list(itertools.product(range(2), repeat=len(terms))))
    logs = np.log(FIRST[paths[:, 0]]) + np.log(STEP[paths[:, :-1], paths[:, 1:]]).sum(1)
    logs += np.nan_to_num(terms)[np.arange(len(terms)), paths].sum(1)
    return np.logaddexp.reduce(logs) + stats.norm(0.0, 3.0).logpdf(AT["mu"]).sum()


def in_both_orders(model, hidden, **values):
    return (
        model.condition(**values, missing="marginalise").marginalize(hidden),
        model.marginalize(hidden).condition(**values, missing="marginalise"),
    )


@pytest.mark.parametrize("count", [6, 15])
def test_gaps_below_labels_may_come_before_or_after_the_labels_are_summed_out(count):
    y = with_gaps(count)
    truth = over_all_paths(stats.norm(AT["mu"], 0.5).logpdf(y[:, None]))
    found = [gm.compile(model) for model in in_both_orders(hidden_markov(count), "z", y=y)]
    for density in found:
        np.testing.assert_allclose(density.log_density(AT), truth, atol=1e-9)
    assert found[0].explain().splitlines()[-1] == found[1].explain().splitlines()[-1]
    np.testing.assert_allclose(found[0].score(AT)["mu"], found[1].score(AT)["mu"], rtol=1e-12)


def test_gaps_in_words_and_in_heavy_tails_do_not_mind_the_order():
    y = with_gaps(15)
    tails = hidden_markov(15, lambda z, mu: dist.StudentT(3.0, mu[z], 0.5))
    truth = over_all_paths(stats.t(3.0, AT["mu"], 0.5).logpdf(y[:, None]))
    for model in in_both_orders(tails, "z", y=y):
        np.testing.assert_allclose(gm.compile(model).log_density(AT), truth, atol=1e-9)
    letters = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    words = hidden_markov(15, lambda z, table: dist.Categorical(table[z]), table=gm.data(letters))
    w = np.where(np.isnan(y), np.nan, np.arange(15) % 3)
    terms = np.where(np.isnan(w)[:, None], 0.0, np.log(letters[:, np.nan_to_num(w).astype(int)].T))
    for model in in_both_orders(words, "z", y=w):
        np.testing.assert_allclose(gm.compile(model).log_density(AT), over_all_paths(terms), atol=1e-9)


def test_two_series_below_one_path_have_gaps_of_their_own():
    y, w = with_gaps(8), with_gaps(8, 1)[::-1].copy()
    model = hidden_markov(8, w=lambda z: dist.Normal(1.0 * z, 1.0))
    terms = np.nan_to_num(stats.norm(AT["mu"], 0.5).logpdf(y[:, None]))
    truth = over_all_paths(terms + np.nan_to_num(stats.norm([0.0, 1.0], 1.0).logpdf(w[:, None])))
    one_by_one = model.marginalize("z").condition(y=y, missing="marginalise").condition(w=w, missing="marginalise")
    for both in (*in_both_orders(model, "z", y=y, w=w), one_by_one.rename(y="seen")):
        np.testing.assert_allclose(gm.compile(both).log_density(AT), truth, atol=1e-9)


def test_gaps_below_labels_of_an_energy_do_not_mind_the_order():
    y = with_gaps(8)
    chain = gm.energy(
        lambda z, first, step: -first[z[0]] - jnp.sum(step[z[:-1], z[1:]]),
        z=gm.Categorical(2, 8),
        first=gm.data(np.log(FIRST)),
        step=gm.data(np.log(STEP)),
    )
    emissions = gm.joint(
        z=gm.input(gm.Categorical(2, 8)),
        mu=dist.Normal(0.0, 3.0).expand([2]),
        y=lambda z, mu: dist.Normal(mu[z], 0.5),
    )
    truth = over_all_paths(stats.norm(AT["mu"], 0.5).logpdf(y[:, None]))
    for model in in_both_orders(chain * emissions, "z", y=y):
        density = gm.compile(model)
        np.testing.assert_allclose(density.log_density(AT), truth, atol=1e-9)
        other = np.where(np.arange(8) == 0, np.nan, 0.3)
        moved = over_all_paths(stats.norm(AT["mu"], 0.5).logpdf(other[:, None]))
        np.testing.assert_allclose(density.with_data(y=other).log_density(AT), moved, atol=1e-9)
        with pytest.raises(gm.SpecError, match="reads y, missing elements included"):
            model * gm.energy(lambda y: jnp.sum(y**2), y=gm.Real(8))


def test_gaps_behind_a_gaussian_level_do_not_mind_the_order():
    y = with_gaps(9)
    walk = gm.joint(
        s=dist.HalfNormal(1.0),
        level=gm.scan(lambda before, s: dist.Normal(before, s), first=dist.Normal(0.0, 1.0), length=9),
        y=lambda level: dist.Normal(level, 0.5),
    )
    there = np.flatnonzero(~np.isnan(y))
    steps = np.minimum(*np.indices((9, 9)))
    covariance = (1.0 + 0.49 * steps + 0.25 * np.eye(9))[np.ix_(there, there)]
    truth = stats.multivariate_normal(cov=covariance).logpdf(y[there]) + stats.halfnorm.logpdf(0.7)
    for model in in_both_orders(walk, "level", y=y):
        np.testing.assert_allclose(gm.compile(model).log_density({"s": 0.7}), truth, atol=1e-9)


class SumOfCounts(Rule):
    """A rule of a user: the sum over counts below sixty."""

    @property
    def account(self):
        return "summed over counts below sixty"

    @property
    def evaluations(self):
        return 60

    def log_density(self, model, hidden, values):
        return logsumexp(jax.vmap(lambda k: log_density(model, {**values, hidden[0]: k}))(jnp.arange(60)))

    def observations(self, model, hidden, values):
        return self.log_density(model, hidden, values)


def counts(model, hidden, shapes):
    del shapes
    return SumOfCounts() if hidden == ("n",) else "not a count"


@pytest.mark.parametrize("undirected", [False, True])
def test_gaps_after_a_rule_of_the_user_are_integrated_out_by_that_rule(undirected):
    model = gm.joint(
        rate=dist.Gamma(2.0, 1.0), n=lambda rate: dist.Poisson(rate), y=lambda n: dist.Normal(n, 1.0).expand([3])
    )
    if undirected:
        model = model * gm.energy(lambda n: 0.1 * n, n=gm.Integer(), name="tilt")
    y = np.array([1.4, np.nan, 2.2])
    density = gm.compile(model.marginalize("n", rules=[counts]).condition(y=y, missing="marginalise"))
    n = np.arange(200)
    terms = stats.poisson(1.3).logpmf(n) + sum(stats.norm(n, 1.0).logpdf(value) for value in (1.4, 2.2))
    exact = stats.gamma(2.0).logpdf(1.3) + logsumexp(terms - 0.1 * n * undirected)
    np.testing.assert_allclose(density.log_density({"rate": 1.3}), exact, rtol=1e-12)
    assert "summed over counts below sixty" in density.explain()
