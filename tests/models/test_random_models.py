"""Random models against NumPyro's density and brute force. Fifty here; a thousand are `slow`."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.special import logsumexp
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn
from scipy import stats

import gmdsl as gm
from tests.models.random_models import DISCRETE, FINITE, draw, joint_of, log_prob, numpyro_of, random_nodes

RTOL = 1e-9


def agree(found, expected):
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=RTOL)


def total(nodes, values):
    return sum(jnp.sum(log_prob(node, values)) for node in nodes)


def leaves(nodes):
    read = {name for node in nodes for name in node.parents}
    return [node for node in nodes if node.name not in read]


def density(model):
    return gm.compile(model).log_density


def check_plain(nodes, values, rng):
    agree(density(joint_of(nodes))(values), log_density(numpyro_of(nodes), (), {}, values)[0])


def check_unconstrained(nodes, values, rng):
    if any(node.family in DISCRETE for node in nodes):
        return check_plain(nodes, values, rng)
    compiled, function = gm.compile(joint_of(nodes)), numpyro_of(nodes)
    free = unconstrain_fn(function, (), {}, values)
    return agree(compiled.target.log_density(compiled.unconstrain(values)), -potential_energy(function, (), {}, free))


def check_numpyro_function(nodes, values, rng):
    model = gm.from_numpyro_model(numpyro_of(nodes))
    agree(density(model)(values), total(nodes, values))


def check_conditioned(nodes, values, rng):
    seen = [node.name for node in nodes if rng.uniform() < 0.5][: len(nodes) - 1]
    model = joint_of(nodes).condition({name: values[name] for name in seen})
    rest = {name: value for name, value in values.items() if name not in seen}
    agree(density(model)(rest), total(nodes, values))


def check_powered(nodes, values, rng):
    if any(node.family in DISCRETE for node in nodes):
        return check_conditioned(nodes, values, rng)
    return agree(density(joint_of(nodes) ** 0.7)(values), 0.7 * total(nodes, values))


def check_weighted(nodes, values, rng):
    leaf = leaves(nodes)[-1]
    weights = rng.uniform(0.2, 2.0, leaf.size or ())
    model = joint_of(nodes).condition({leaf.name: values[leaf.name]}).weight({leaf.name: weights})
    rest = {name: value for name, value in values.items() if name != leaf.name}
    others = [node for node in nodes if node is not leaf]
    agree(density(model)(rest), total(others, values) + jnp.sum(weights * log_prob(leaf, values)))


def check_marginalised(nodes, values, rng):
    finite = [node for node in nodes if node.family in FINITE and not node.size]
    if not finite:
        return check_weighted(nodes, values, rng)
    hidden = finite[0]
    rest = {name: value for name, value in values.items() if name != hidden.name}
    try:
        model = joint_of(nodes).marginalize(hidden.name)
    except gm.SpecError:  # no rule: that is said, and nothing else is to be compared
        return None
    states = [total(nodes, {**values, hidden.name: jnp.asarray(k)}) for k in range(FINITE[hidden.family])]
    return agree(density(model)(rest), logsumexp(jnp.stack(states)))


def check_missing(nodes, values, rng):
    spread = [node for node in leaves(nodes) if node.size]
    if not spread:
        return check_marginalised(nodes, values, rng)
    leaf = spread[0]
    seen = np.where(rng.uniform(size=leaf.size) < 0.5, np.nan, np.asarray(values[leaf.name], float))
    model = joint_of(nodes).condition({leaf.name: seen}, missing="marginalise")
    rest = {name: value for name, value in values.items() if name != leaf.name}
    others = [node for node in nodes if node is not leaf]
    kept = jnp.where(np.isnan(seen), 0.0, log_prob(leaf, values))
    return agree(density(model)(rest), total(others, values) + jnp.sum(kept))


def check_mixed(nodes, values, rng):
    other = [
        node if node.parents else type(node)(**{**vars(node), "source": node.source.replace("1.", "0.9")})
        for node in nodes
    ]
    model = gm.mixture([0.3, 0.7], joint_of(nodes), joint_of(other))
    parts = jnp.stack([np.log(0.3) + total(nodes, values), np.log(0.7) + total(other, values)])
    agree(density(model)(values), logsumexp(parts))


def check_censored(nodes, values, rng):
    above = nodes[0]
    limit, seen = 0.7, np.array([0.2, 0.7, -0.4])
    centre = f"jnp.mean(jnp.tanh({above.name}))"
    law = eval(
        f"lambda {above.name}: gm.censored(dist.Normal({centre}, 0.5).expand([3]), high={limit})",
        {"gm": gm, "dist": dist, "jnp": jnp},
    )
    model = joint_of(nodes, c=law).condition(c=seen)
    middle = float(jnp.mean(jnp.tanh(values[above.name])))
    terms = np.where(seen < limit, stats.norm.logpdf(seen, middle, 0.5), stats.norm.logsf(limit, middle, 0.5))
    agree(density(model)(values), total(nodes, values) + terms.sum())


def check_scanned(nodes, values, rng):
    above = nodes[-1]
    step = eval(
        f"lambda before, {above.name}: dist.Normal(0.5 * before + jnp.tanh({above.name}).mean(), 0.8)",
        {"dist": dist, "jnp": jnp},
    )
    path = rng.normal(size=5)
    model = joint_of(nodes, path=gm.scan(step, first=dist.Normal(0.0, 2.0), length=5)).condition(path=path)
    shift = float(jnp.tanh(values[above.name]).mean())
    terms = [stats.norm.logpdf(path[0], 0.0, 2.0), *stats.norm.logpdf(path[1:], 0.5 * path[:-1] + shift, 0.8)]
    agree(density(model)(values), total(nodes, values) + np.sum(terms))


pytestmark = pytest.mark.filterwarnings("ignore:Continuous inference poorly handles circular")
CHECKS = (
    check_plain,
    check_unconstrained,
    check_numpyro_function,
    check_conditioned,
    check_powered,
    check_weighted,
    check_marginalised,
    check_missing,
    check_mixed,
    check_censored,
    check_scanned,
)


def check(seed):
    nodes, rng = random_nodes(seed), np.random.default_rng([seed, 1])
    CHECKS[seed % len(CHECKS)](nodes, draw(nodes, seed), rng)


@pytest.mark.parametrize("seed", range(55))
def test_random_models_have_the_density_of_numpyro(x64, seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_a_thousand_random_models(x64, block):
    for seed in range(100 + 50 * block, 150 + 50 * block):
        check(seed)
