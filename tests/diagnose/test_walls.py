import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.diagnose.walls import coordinates_with_walls


def test_only_coordinates_that_point_through_a_wall_are_named():
    """A half normal law has draws within a fifth of a deviation of its wall, Gamma(4, 1) as an energy next to none."""
    rng = np.random.default_rng(0)
    draws = np.stack([np.abs(rng.normal(size=(4, 500))), rng.normal(size=(4, 500)), rng.gamma(4.0, size=(4, 500))], -1)
    energy = gm.energy(
        lambda x: jnp.where(
            (x[0] > 0) & (x[2] > 0), 0.5 * (x[0] ** 2 + x[1] ** 2) + x[2] - 3.0 * jnp.log(jnp.abs(x[2])), jnp.inf
        ),
        x=gm.Real(3),
    )
    found = coordinates_with_walls(gm.compile(energy), draws.astype(np.float32))
    assert found.tolist() == [True, False, False]


def test_stein_is_not_judged_through_a_wall_and_is_beside_it():
    wall = gm.energy(lambda x: jnp.where(x[0] > 0, 0.5 * jnp.sum(x**2), jnp.inf), x=gm.Real(2))
    tree = gm.sample(wall, gm.RandomWalk(), init={"x": np.ones(2)}, draws=3000, progress=False)
    found = gm.check(tree, wall)["Stein identity"]
    assert found.status == "ok"
    assert "wall near the draws along x[0]" in found.evidence
    moved = gm.energy(lambda x: jnp.where(x[0] > 0, 0.5 * (x[0] ** 2 + (x[1] - 0.5) ** 2), jnp.inf), x=gm.Real(2))
    assert gm.check(tree, moved)["Stein identity"].status == "suspect"  # of x[1]: another model


def test_with_walls_along_all_coordinates_it_says_so():
    wall = gm.energy(lambda x: jnp.where(x > 0, 0.5 * x**2, jnp.inf), x=gm.Real())
    tree = gm.sample(wall, gm.RandomWalk(), init={"x": 1.0}, draws=3000, progress=False)
    found = gm.check(tree, wall)["Stein identity"]
    assert found.status == "note"
    assert "gm.Positive()" in found.advice
