"""Contenders of one case do the same work: their draws have the same law. Slow; peers that are missing are left out."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from tests.benchmarks.test_harness import harness  # noqa: F401  (a fixture)

pytestmark = pytest.mark.slow
Z = 4.5  # standard errors; of some hundred comparisons one in a thousand sets is beyond


def drawn(harness, contender, case, path, one_thread=True):  # noqa: F811
    process = harness.Process(contender, one_thread)
    try:
        process.prepare(case)
        process.run(3, save=str(path))
    finally:
        process.close()
    return np.load(path).astype(float)


@pytest.mark.parametrize("energy", ["mixture", "mlp", "conv"])
def test_all_langevin_contenders_have_the_same_law_after_the_same_steps(harness, tmp_path, energy):  # noqa: F811
    import langevin
    import peers

    case = {"name": "law", "energy": energy, "chains": 2000, "draws": 1, "thin": 12, "eager": 12}
    base = None
    for contender in langevin.CONTENDERS:
        if peers.interpreter(contender.environment) is None or contender.key == "mala":
            continue
        draws = drawn(harness, contender, case, tmp_path / "draws.npy")[:, -1]
        moments = np.stack([draws, draws**2])[..., :50]
        mean, error = moments.mean(1), moments.std(1) / len(draws) ** 0.5
        if base is None:
            base = mean, error
        elif contender.key != "sample":  # the control has the same seed
            z = (mean - base[0]) / np.hypot(error, base[1])
            assert np.abs(z).max() < Z, contender.name


@pytest.mark.parametrize("target", ["eight schools", "correlated", "logistic", "funnel"])
def test_all_nuts_contenders_have_the_same_posterior(harness, tmp_path, target):  # noqa: F811
    import nuts
    import peers

    case, base = {"name": "law", "target": target, "draws": 1000}, None
    for contender in (*nuts.NUTS, nuts.CHEES[0]):
        if peers.interpreter(contender.environment) is None:
            continue
        draws = drawn(harness, contender, case, tmp_path / "draws.npy", one_thread=False)
        if target == "funnel":
            draws = np.arcsinh(draws)  # the tails of x are too heavy for its second moment
        for power in (1, 2):
            ess = array_stats.ess(draws**power, chain_axis=0, draw_axis=1, method="mean")
            found = (draws**power).mean((0, 1)), (draws**power).std((0, 1)) / ess**0.5
            if contender.name == "gmdsl":
                base = base or {}
                base[power] = found
            elif not contender.name.startswith("control"):
                z = (found[0] - base[power][0]) / np.hypot(found[1], base[power][1])
                assert np.abs(z).max() < Z, (contender.name, power)
