"""Contenders of the table of convolutions: the same networks, objectives and steps."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.benchmarks.test_harness import harness  # noqa: F401  (a fixture)

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "benchmarks"))
import convolutions
import run
from contenders import convolutions_gmdsl, convolutions_hand, pictures


def test_the_table_is_one_of_all_and_has_no_case_twice():
    assert "convolutions" in run.TABLES
    names = [case["name"] for case in convolutions.CASES]
    assert len(set(names)) == len(names)
    assert {"U-Net, 8 x 8, training", "U-Net, 28 x 28, training", "U-Net, 28 x 28, reverse SDE"} <= set(names)


@pytest.mark.parametrize("net", convolutions.NETS)
@pytest.mark.parametrize("side", [8, 28])
def test_networks_by_hand_are_those_of_gmdsl(net, side):
    case = {"net": net, "side": side}
    x, level = jnp.asarray(pictures.data(side)[:3]), jnp.array([0.1, 0.5, 0.9])
    ours = jax.vmap(convolutions_gmdsl.network(case))(x, level)
    by_hand = convolutions_hand.residual(case, jax.tree.map(jnp.asarray, pictures.weights(net)), x, level)
    assert np.std(ours) > 1e-3
    np.testing.assert_allclose(by_hand, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # processes of their own; peers that are missing are left out
@pytest.mark.parametrize("what", ["train", "sample"])
def test_contenders_report_the_same_losses_and_spreads(harness, what):  # noqa: F811
    import peers

    case, found = {**convolutions.case("U-Net", 8, what), "steps": 30}, {}
    for contender in convolutions.CONTENDERS:
        if peers.interpreter(contender.environment) is not None:
            process = harness.Process(contender, one_thread=True)
            try:
                process.prepare(case)
                found[contender.name] = process.run(3)["loss" if what == "train" else "sd"]
            finally:
                process.close()
    assert len(found) >= 3
    base = found["gmdsl"]
    for name, number in found.items():
        assert number == pytest.approx(base, rel=0.1 if what == "train" else 0.03), name
