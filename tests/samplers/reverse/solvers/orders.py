"""The order of a solver, measured by halving its steps on a noised Gaussian mixture whose flow is known."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

STARTS = np.array([[-1.3, 0.4], [0.2, 1.1], [1.0, -0.9]])


def family(process):
    parts = dist.MultivariateNormal(jnp.array([[-1.0, 0.5], [1.0, 0.0]]), 0.3 * jnp.eye(2))
    return gm.noise(gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.4, 0.6])), parts)), process)


def ends(flat, solver, times):
    """Where the points at the first time are at the last, step by step."""

    def run(x):
        def step(k, at):
            return solver.step(flat, at[0], times[k], times[k + 1], at[1])

        return jax.lax.fori_loop(0, len(times) - 1, step, (x, solver.init(flat, x)))[0]

    return jax.vmap(run)(STARTS * flat.process.prior_scale)


def exact(flat, first, last):
    return exact_at(flat, jnp.array([first, last]))[-1]


def exact_at(flat, times):
    """The exact points at all of these times, from the starts at the first: (times, starts, dim)."""
    term = diffrax.ODETerm(lambda t, x, _: flat.velocity(x, t))
    control = diffrax.PIDController(rtol=1e-12, atol=1e-12)

    def run(x):
        return diffrax.diffeqsolve(
            term, diffrax.Dopri8(), times[0], times[-1], None, x,
            saveat=diffrax.SaveAt(ts=times), stepsize_controller=control, max_steps=50_000,
        ).ys  # fmt: skip

    return jnp.moveaxis(jax.vmap(run)(STARTS * flat.process.prior_scale), 1, 0)


def order(process, solver, grid, counts):
    """log2 of the ratio of errors when the steps are halved, from the two finest of three grids."""
    flat = family(process).flat
    truth = exact(flat, float(grid(counts[0])[0]), float(grid(counts[0])[-1]))
    errors = [float(np.abs(ends(flat, solver, grid(n)) - truth).max()) for n in counts]
    return np.log2(errors[-2] / errors[-1]), errors


def log_snr_grid(process):
    """Times of equal steps in log(alpha / sigma), from `t_max` to where little noise is left.

    The first step is made in pieces that double, so that the low order of the first of all is not what is measured.
    """

    def grid(n):
        low, high = (jnp.log(process.sigma(t) / process.alpha(t)) for t in (process.t_min, process.t_max))
        wanted = low + jnp.linspace(1.0, 0.3, n + 1) * (high - low)
        ends = jnp.full(n + 1, 1e-9), jnp.full(n + 1, process.t_max)

        def halve(_, ends):
            middle = 0.5 * (ends[0] + ends[1])
            above = jnp.log(process.sigma(middle) / process.alpha(middle)) > wanted
            return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

        times = jax.lax.fori_loop(0, 80, halve, ends)[0].at[0].set(process.t_max)
        pieces = times[0] + (times[1] - times[0]) * 0.5 ** jnp.arange(14.0, 0.0, -1.0)
        return jnp.concatenate([times[:1], pieces, times[1:]])

    return grid


def order_from_exact_values(flat, solver, times_of, counts, back):
    """The order where the first values that a solver remembers, and the point from which it starts, are exact."""
    errors = []
    for n in counts:
        times = times_of(n)
        *points, truth = exact_at(flat, jnp.concatenate([times[: back + 1], times[-1:]]))

        def run(*points, times=times, n=n):
            memory = solver.init(flat, points[0])
            for k in range(back):
                memory = solver.step(flat, points[k], times[k], times[k + 1], memory)[1]
            step = lambda k, at: solver.step(flat, at[0], times[k], times[k + 1], at[1])  # noqa: E731
            return jax.lax.fori_loop(back, n, step, (points[back], memory))[0]

        errors.append(float(np.abs(jax.vmap(run)(*points) - truth).max()))
    return np.log2(errors[-2] / errors[-1]), errors
