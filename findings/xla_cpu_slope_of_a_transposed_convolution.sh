#!/usr/bin/env bash
# version: jax 0.12.0.1, jaxlib 0.12.0.1
# behaviour: on a CPU the slope in the kernel of a transposed convolution takes many times as long as the same sum written the other way.
#
# `jax.grad` writes it as a convolution of the small image, dilated by zeros, with the large slope of the output as its
# kernel, and XLA's CPU code multiplies all the zeros. The same sum is the slope of the output convolved with the image as a kernel
# that is dilated, reversed. A decoder or a U-Net with one such layer spends most of its training step there. The slope of a
# convolution with a stride has no such trouble.
# Seen: 32 to 16 channels, 4 x 4 kernel, stride 2, to 8 x 8, batch 128, one core: 18.6 ms by jax.grad, 0.8 ms the other way,
# 1.2 ms for the layer itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q jax==0.12.0.1 jaxlib==0.12.0.1
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_cpu_multi_thread_eigen=false "$work/env/bin/python" - <<'PY'
import statistics, time
import jax, jax.numpy as jnp
from jax import lax
print("version: jax", jax.__version__)
x = jax.random.normal(jax.random.key(0), (128, 4, 4, 32))
w = jax.random.normal(jax.random.key(1), (4, 4, 32, 16))
order = ("NHWC", "HWIO", "NHWC")
layer = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2), dimension_numbers=order)
slope = jax.random.normal(jax.random.key(2), layer(x, w).shape)
by_grad = jax.jit(lambda x, w, slope: jax.vjp(lambda w: layer(x, w), w)[1](slope)[0])

def exchanged(x, w, slope):
    settings = {"rhs_dilation": (2, 2), "dimension_numbers": ("CHWN", "IHWO", "HWNC")}
    made = lax.conv_general_dilated(slope, x, (1, 1), [(1, 1)] * 2, **settings)
    return jnp.flip(made, (0, 1)).transpose(0, 1, 3, 2)

other, forward = jax.jit(exchanged), jax.jit(lambda x, w, slope: layer(x, w))
assert float(abs(by_grad(x, w, slope) - other(x, w, slope)).max()) < 0.01

def seconds(function):
    jax.block_until_ready(function(x, w, slope))
    taken = []
    for _ in range(15):
        began = time.process_time()
        jax.block_until_ready([function(x, w, slope) for _ in range(5)])
        taken.append((time.process_time() - began) / 5)
    return statistics.median(taken)

found = {name: seconds(f) * 1e3 for name, f in (("jax.grad", by_grad), ("exchanged", other), ("forward", forward))}
print("behaviour: ms", {name: round(value, 2) for name, value in found.items()})
assert jax.__version__ == "0.12.0.1"
assert found["jax.grad"] > 4 * found["exchanged"] and found["jax.grad"] > 4 * found["forward"]
PY
