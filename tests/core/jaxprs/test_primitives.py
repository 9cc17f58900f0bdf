import sys

import jax
import jax.extend
import jax.numpy as jnp
import pytest

from gmdsl.core.jaxprs import primitives
from gmdsl.core.jaxprs.affine import AFFINE, affinity
from gmdsl.core.jaxprs.dataflow import output_states
from gmdsl.core.jaxprs.elementwise import element_axes


def used(function, x):
    """Names of the primitives that act on what depends on x, those inside calls in their place."""
    found = set()

    def rule(equation, states):
        found.add(equation.primitive.name)
        return "moving"

    output_states(function, [x], ["moving"], rule)
    return found


# Names that another version of JAX than the installed one may use; a name that is in neither is a slip.
ELSEWHERE = {
    *("pjit", "closed_call", "core_call"),  # calls, before "jit"
    *("checkpoint", "remat", "remat2"),  # one primitive
    *("copy_p", "expand_dims"),
    *("split", "stack", "tile", "square"),  # primitives of their own in newer versions only
}
LISTS = {name: set(value) for name, value in vars(primitives).items() if name.isupper()}


def installed():
    """The names of the primitives of the installed JAX: the public ones, and those of its modules of operations."""
    modules = [module for name, module in sys.modules.items() if name.startswith("jax._src")]
    values = [value for module in (jax.extend.core.primitives, *modules) for value in list(vars(module).values())]
    return {value.name for value in values if isinstance(value, jax.extend.core.Primitive)}


@pytest.mark.parametrize("name", LISTS)
def test_every_name_is_that_of_a_primitive(name):
    assert LISTS[name] - installed() <= ELSEWHERE


def test_the_usual_functions_use_names_that_are_listed():
    """A primitive that JAX renames leaves the lists behind: what was proved before is unknown then."""
    x, k = jnp.ones(3), jnp.arange(3)
    moving = lambda x: (  # noqa: E731
        x.reshape(3, 1), x[None], x[::-1], x[:2], x[k], x.T, jnp.pad(x, 1), jnp.stack([x, x]), jnp.tile(x, 2),
        jnp.concatenate([x, x]), jnp.split(x, 3), jnp.copy(x), jnp.where(k > 1, x, x), jnp.squeeze(x[None]),
        jax.lax.dynamic_slice(x, (0,), (2,)), jax.lax.dynamic_update_slice(x, x[:1], (0,)), jnp.broadcast_to(x, (2, 3)),
    )  # fmt: skip
    assert used(moving, x) <= set(primitives.MOVED)
    linear = lambda x: (x + x, x - x, -x, x.sum(), jnp.cumsum(x), jax.lax.stop_gradient(x))  # noqa: E731
    assert used(linear, x) <= primitives.LINEAR
    assert used(lambda x: (x @ x, 2.0 * x, jnp.convolve(x, x)), x) <= {*primitives.BILINEAR, *primitives.LINEAR}
    assert used(lambda x: (x.at[k].set(x), x.at[k].add(x), x / 2.0), x) <= {
        *primitives.LINEAR_IN, *primitives.ELEMENTWISE, *primitives.LINEAR
    }  # fmt: skip
    assert used(lambda x: (x.sum(), x.max(), x.min(), x.prod(), x.argmax(), x.argmin()), x) <= primitives.REDUCTIONS
    assert used(lambda b: (b.all(), b.any()), x > 0) <= primitives.REDUCTIONS


@pytest.mark.parametrize(
    "function",
    [
        jnp.exp, jnp.log, jnp.log1p, jnp.expm1, jnp.exp2, jnp.tanh, jnp.sin, jnp.cos, jnp.tan, jnp.sqrt, jnp.cbrt,
        jnp.square, jnp.abs, jnp.sign, jnp.floor, jnp.ceil, jnp.round, jnp.sinh, jnp.cosh, jnp.arcsin, jnp.arccos,
        jnp.arctan, jnp.isfinite, jax.lax.rsqrt, jax.lax.erf, jax.lax.erfc, jax.lax.erf_inv, jax.lax.lgamma,
        jax.lax.digamma, jax.lax.logistic, jax.nn.sigmoid, lambda x: x**3, lambda x: x**x, lambda x: x % 2.0,
        lambda x: jnp.maximum(x, jnp.minimum(x, 1.0)), lambda x: jnp.arctan2(x, x), lambda x: jnp.clip(x, 0.0, 1.0),
        lambda x: jax.scipy.special.gammainc(x, x), lambda x: (x > 0) & ~((x <= 1) | (x == 2) ^ (x != 3)),
        lambda x: jnp.where(x < 1, x, -x).astype(int), lambda x: jax.lax.clamp(0.0, x, 1.0),
    ],
)  # fmt: skip
def test_functions_of_single_numbers_are_known_to_keep_elements_apart(function):
    assert element_axes(function, [jnp.full(3, 0.5)]) == (0,)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.custom_jvp, jax.custom_vjp])
def test_programs_that_are_called_are_followed_inside(wrap):
    inner = wrap(lambda x: 2.0 * x + 1.0)
    if hasattr(inner, "defjvp"):
        inner.defjvp(lambda x, dx: (inner(*x), 2.0 * dx[0]))
    elif hasattr(inner, "defvjp"):
        inner.defvjp(lambda x: (inner(x), None), lambda _, g: (2.0 * g,))
    assert affinity(inner, jnp.zeros(3)) == AFFINE
