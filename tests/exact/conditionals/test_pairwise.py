import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.exact.conditionals import pairwise
from gmdsl.exact.conditionals.sweeps import swept
from tests.exact.conditionals.enumeration import LABEL, SPIN

WAYS = ("by_words", "by_fields", "by_blocks", "by_tables")


@pytest.mark.parametrize(
    ("density", "value", "way"),
    [
        (lambda s: 0.4 * jnp.sum(s * jnp.roll(s, 1)), SPIN, "by_words"),
        (lambda s: 0.4 * jnp.sum(s == jnp.roll(s, 1)), SPIN, "by_words"),
        (lambda s: jnp.sum(jnp.arange(300.0) * s * jnp.roll(s, 1)), SPIN, "by_fields"),
        (lambda s: jnp.sum(jnp.arange(300.0) * (s == jnp.roll(s, 1))), SPIN, "by_fields"),
        (lambda s: s[:40] @ jnp.arange(1600.0).reshape(40, 40) @ s[:40], SPIN, "by_blocks"),
        (lambda s: 0.4 * jnp.sum(s == jnp.roll(s, 1)), LABEL, "by_tables"),
        (lambda s: jnp.sum(jnp.where(s * jnp.roll(s, 1) == 1, -jnp.inf, 0.0)), SPIN, "by_tables"),
    ],
    ids=["strength", "equal", "strengths", "equal by strengths", "dense", "labels", "forbidden"],
)
def test_the_way_is_that_of_the_couplings_however_they_are_written(density, value, way, monkeypatch):
    used = set()

    def told(name):
        old = getattr(pairwise, name)
        return lambda *given: used.add(name) or old(*given)

    for name in WAYS:
        monkeypatch.setattr(pairwise, name, told(name))
    x = jnp.full(300, -1.0 if value is SPIN else 0.0)
    found = jax.jit(lambda key: swept(key, density, (value,) * 300, x, 1))(jax.random.key(0))
    assert used == {way}
    assert set(np.unique(found.x)) <= {value[1] + value[2] * k for k in range(value[0])}
