import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def gaussian(process):
    """Two correlated coordinates."""
    cov = jnp.array([[1.0, 0.6], [0.6, 0.5]])
    return gm.noise(gm.joint(x=dist.MultivariateNormal(jnp.array([0.5, -1.0]), cov)), process)


@pytest.mark.parametrize("solver", [gm.Euler(), gm.Heun(), gm.DPMSolver()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(30.0)], ids=lambda p: type(p).__name__)
def test_draws_of_a_noised_gaussian_have_its_mean_and_covariance(solver, process):
    """Five numbers of 20,000 draws, each within 4.5 standard errors and a bias of 0.01 (Euler: 0.04)."""
    n, bias = 20_000, 0.04 if isinstance(solver, gm.Euler) else 0.01
    power = 7.0 if isinstance(process, gm.EDM) else 1.0
    family = gaussian(process)
    generator = gm.ReverseODE(solver, steps=400, power=power)
    tree = gm.sample(family, generator, draws=n, init=family.at(process.t_max), progress=False)
    x = tree["posterior"]["x"].values[0].astype(float)
    gap = x - [0.5, -1.0]
    products = np.einsum("ni,nj->nij", gap, gap)
    assert (np.abs(gap.mean(0)) < 4.5 * gap.std(0) / np.sqrt(n) + bias).all()
    off = np.abs(products.mean(0) - [[1.0, 0.6], [0.6, 0.5]])
    assert (off < 4.5 * products.std(0) / np.sqrt(n) + bias).all()


@pytest.mark.filterwarnings("ignore:.*the noisy end of Brownian")
def test_it_is_a_map_from_the_start_to_the_draw(x64):
    """A Gaussian flow scales: the draws are the starts (those of the same keys at one step of length zero), scaled."""
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 2.0)), gm.Brownian(1.0, t_max=12.0))
    fine, finer = (
        gm.sample(family, gm.ReverseODE(steps=n), draws=100, seed=3, progress=False)["posterior"]["x"].values
        for n in (500, 1000)
    )
    np.testing.assert_allclose(fine, finer, rtol=1e-4)
    assert stats.kstest(finer.ravel(), stats.norm(0.0, 12.0**0.5 * 2.0 / 4.0).cdf).pvalue > 1e-4


def test_the_solver_is_heun_unless_said():
    assert gm.ReverseODE().solver == gm.Heun()


def test_what_is_not_a_solver_is_refused():
    with pytest.raises(gm.SpecError, match="a solver is needed first, such as gm.Heun"):
        gm.ReverseODE(gm.Heun)
    with pytest.raises(gm.SpecError, match=r"ReverseODE\(int\): a solver is needed first"):
        gm.ReverseODE(20)
    with pytest.raises(gm.SpecError, match=r"ReverseODE\(steps=-3\)"):
        gm.ReverseODE(steps=-3)
