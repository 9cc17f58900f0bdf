import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

from .orders import log_snr_grid, order


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("width", [0.0, 0.4])
@pytest.mark.parametrize(("predictor", "counts"), [(2, (80, 160)), (3, (120, 240))])
def test_the_corrected_points_have_one_order_more_than_the_predictor(process, width, predictor, counts, x64):
    found, errors = order(process, gm.UniPC(predictor, width), log_snr_grid(process), counts)
    assert found == pytest.approx(predictor + 1, abs=0.3)
    assert errors[-1] < 1e-4


def test_a_gaussian_of_the_width_is_exact_in_one_step(x64):
    """Its flow scales: x_s = a_s m + (x_t - a_t m) sqrt(s_s^2 + a_s^2 w^2) / sqrt(s_t^2 + a_t^2 w^2)."""
    process, x = gm.VP(), jnp.array([0.7])
    flat = gm.noise(gm.joint(x=dist.Normal(jnp.array([2.0]), 0.3).to_event(1)), process).flat
    spread = lambda t: jnp.sqrt(process.sigma(t) ** 2 + 0.09 * process.alpha(t) ** 2)  # noqa: E731
    for s in (0.5, 0.0):
        wanted = 2.0 * process.alpha(s) + (x - 2.0 * process.alpha(0.9)) * spread(s) / spread(0.9)
        for solver in (gm.UniPC(width=0.3), gm.DPMSolver(3, width=0.3)):
            found = solver.step(flat, x, 0.9, s, solver.init(flat, x))[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_it_beats_its_predictor_with_few_steps():
    """Twelve evaluations of a mixture from the same noise, against 300 steps of Heun; errors are halved."""
    centres = np.random.default_rng(0).uniform(-2.0, 2.0, (12, 2))
    parts = dist.Normal(centres, 0.1).to_event(1)
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=np.full(12, 1 / 12)), parts))
    family = gm.noise(model, gm.EDM(20.0))

    def ends(generator):
        return gm.sample(family, generator, draws=200, seed=1, progress=False)["posterior"]["x"].values[0]

    fine = ends(gm.ReverseODE(gm.Heun(), steps=300, power=7.0))
    plain, corrected = (
        np.median(np.linalg.norm(ends(gm.ReverseODE(solver, steps=12)) - fine, axis=-1))
        for solver in (gm.DPMSolver(), gm.UniPC())
    )
    assert corrected < 0.6 * plain


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"UniPC\(order=4\): one of 2, 3 is needed"):
        gm.UniPC(4)
    with pytest.raises(gm.SpecError, match=r"UniPC\(width=-0.1\): a finite number of at least 0 is needed"):
        gm.UniPC(width=-0.1)
