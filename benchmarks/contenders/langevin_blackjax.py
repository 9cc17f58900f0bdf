"""BlackJAX in the Langevin table, its kernels vmapped over chains with a key for each, under one `jit`."""

import blackjax
import jax

from contenders.langevin_hand import DRIFT, kept, single


def sgld(case):
    """Langevin without correction."""
    score = jax.grad(single(case))
    kernel = blackjax.sgld(lambda x, _: score(x))
    one = jax.vmap(lambda key, x: kernel.step(key, x, None, DRIFT))
    return kept(case, lambda key, x: one(jax.random.split(key, case["chains"]), x), lambda x: x)


def mala(case):
    """MALA at the same step size; it accepts or rejects, which is more work."""
    kernel = blackjax.mala(single(case), DRIFT)
    one = jax.vmap(lambda key, state: kernel.step(key, state)[0])
    step = lambda key, states: one(jax.random.split(key, case["chains"]), states)  # noqa: E731
    return kept(case, step, jax.vmap(kernel.init))


CONTENDERS = {"sgld": sgld, "mala": mala}
