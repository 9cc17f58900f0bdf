import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.adapt.each_rung import EachRung, of_rungs, stacked
from gmdsl.inference.adapter import adapters_of


def test_every_rung_is_tuned_by_its_own_stats_and_positions():
    move = gm.MALA(step_size=0.5)
    kernels = EachRung(adapters_of(move), 3)
    assert kernels.needs == ("_rung_acceptance_rate",)
    states, moves = kernels.start(move, 2)
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 10.0, 0.1])
    for number in range(200):
        stats = of_rungs({"acceptance_rate": jnp.array([0.574, 1.0, 0.0])})
        flags = {"warmup_window": jnp.asarray(number < 150), "warmup_window_end": jnp.asarray(number == 149)}
        places = jnp.asarray(scales[:, None] * rng.normal(size=(3, 2)), float)
        states, moves = kernels.update(states, moves, places, {**stats, **flags, "other": jnp.zeros(7)})
    moves = kernels.finish(states, moves)
    assert moves.step_size[1] > 5.0 * moves.step_size[0] > 25.0 * moves.step_size[2]
    np.testing.assert_allclose(jnp.log(moves.inverse_mass).mean(axis=1), 2.0 * np.log(scales), atol=0.4)


def test_one_kernel_alone_and_one_of_many_are_tuned_alike():
    """The first of three rungs ends where the rules without rungs end."""
    move = gm.MALA()
    alone, many = EachRung(adapters_of(move), 1), EachRung(adapters_of(move), 3)
    (a, first), (b, all_of_them) = alone.start(move, 1), many.start(move, 1)
    for rate in (0.2, 0.9, 0.4):
        stats = {"acceptance_rate": jnp.array([rate, 0.7, 0.1])}
        a, first = alone.update(a, first, jnp.ones((1, 1)), of_rungs({"acceptance_rate": jnp.array([rate])}))
        b, all_of_them = many.update(b, all_of_them, jnp.ones((3, 1)), of_rungs(stats))
    np.testing.assert_allclose(first.step_size[0], all_of_them.step_size[0], rtol=1e-6)
    assert all_of_them.step_size[2] < all_of_them.step_size[0] < all_of_them.step_size[1]


def test_numbers_of_a_kernel_are_stacked_and_its_structure_is_not():
    moves = stacked(gm.HMC(step_size=0.3, steps=7), 4)
    assert moves.step_size.tolist() == [jnp.float32(0.3)] * 4
    assert moves.steps == 7
