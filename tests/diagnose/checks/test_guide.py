import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

W = np.array([[1.0, 0.5], [0.0, 1.0], [1.0, 0.4]], np.float32)
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(400, 2)) @ W.T + 0.5 * RNG.normal(size=(400, 3))
MODEL = gm.joint(
    W=gm.data(W),
    z=dist.Normal(0.0, 1.0).expand([2]).to_event(1),
    x=lambda z, W: dist.Normal(W @ z, 0.5).to_event(1),
)
FULL = gm.joint(
    x=gm.input(gm.Real(3)),
    A=gm.param(jnp.zeros((2, 3))),
    L=gm.param(jnp.eye(2)),
    z=lambda x, A, L: dist.MultivariateNormal(A @ x, scale_tril=jnp.tril(L, -1) + jnp.diag(jnp.exp(jnp.diag(L) - 1))),
)
BLIND = gm.joint(
    x=gm.input(gm.Real(3)),
    b=gm.param(jnp.zeros(2)),
    s=gm.param(jnp.ones(2), gm.Positive(2)),
    z=lambda x, b, s: dist.Normal(b + 0.0 * x[:2], s).to_event(1),
)


def fitted(guide, steps=1500, seed=0, **kwargs):
    rate = optax.cosine_decay_schedule(0.03, steps)
    objective = gm.ELBO(guide=guide, **kwargs)
    return gm.fit(
        MODEL,
        {"x": ROWS},
        objective,
        optimizer=optax.adam(rate),
        steps=steps,
        batch_size=100,
        seed=seed,
        progress=False,
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_guide_of_the_family_of_the_posterior_is_ok(seed):
    found = gm.check(fitted(FULL, seed=seed))
    assert found["guide"].status == "ok", found["guide"].evidence
    assert found.status == "ok", str(found)


def test_a_guide_that_does_not_see_the_data_is_suspect_by_the_gap_of_its_bound():
    fit = fitted(BLIND)
    found = gm.check(fit)["guide"]
    assert found.status == "suspect"
    exact = dist.MultivariateNormal(jnp.zeros(3), W @ W.T + 0.25 * np.eye(3)).log_prob(ROWS).mean()
    gap = float(exact + np.mean(fit.history["loss"][-300:]))
    said = float(found.evidence.split("at least ")[1].split()[0])
    assert 1.0 < said < 1.1 * gap  # a bound from below


def test_several_draws_in_the_bound_count_together():
    one, many = gm.check(fitted(BLIND, steps=500)), gm.check(fitted(BLIND, steps=500, particles=50, importance=True))
    loose = [float(report["guide"].evidence.split("at least ")[1].split()[0]) for report in (one, many)]
    assert loose[1] < 0.5 * loose[0]
