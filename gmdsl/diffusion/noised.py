r"""A noised family: the laws $p_t$ of data under a forward process, for t from 0 (data) to `t_max` (noise).

Its score is exact where a closed form exists (Gaussian mixtures, linear-Gaussian models, data sets) and
learned otherwise. Reverse samplers and the probability-flow likelihood read the family as one flat vector.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.diffusion.carry import carried, check_tolerances
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Bridge, Process, Scalar, Transition
from gmdsl.diffusion.reverse_conditional import check_step, exact_factor, gaussian_factor
from gmdsl.graph.capability import Capabilities
from gmdsl.models.model import Model
from gmdsl.models.operators.condition import checked
from gmdsl.spaces.layout import Layout, flatten, unflatten
from gmdsl.spaces.space import Space, dtype_of


class Noised(eqx.Module):
    """A family of densities over time. Made by `gm.noise` and `gm.score_model`.

    Points are arrays of the declared shape where there is one variable, dicts by name otherwise; one point at
    a time (use `jax.vmap`).

    Attributes:
        process: the forward process.
        denoiser: where scores come from.
        declared: pairs (variable, space), all real.
        model: what the family is at t = 0; None for a data set or a network.
    """

    process: Process
    denoiser: Denoiser
    declared: Layout = eqx.field(static=True)
    model: Any = None

    @property
    def spaces(self) -> dict[str, Space]:
        """Space of every variable."""
        return dict(self.declared)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the variables, in the order of the flat vector."""
        return tuple(name for name, _ in self.declared)

    @property
    def inputs(self) -> Layout:
        """Inputs of the network that have no value yet, with their spaces."""
        return self.denoiser.inputs

    @property
    def dims(self) -> Any:
        return () if self.model is None else self.model.dims

    @property
    def coords(self) -> Any:
        return () if self.model is None else self.model.coords

    @property
    def flat(self) -> FlatFamily:
        """The family on flat vectors.

        Raises:
            SpecError: an input has no value.
        """
        self._check_bound()
        return FlatFamily(self.process, self.denoiser, self.declared)

    def condition(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Noised":
        """The family at values of its inputs, as a digit by its label.

        Args:
            values: inputs by name, for names that are not identifiers.
            named: inputs by name: one value of the declared shape.

        Raises:
            SpecError: a variable and no input; another shape or a value outside the space of the input.
        """
        given, inputs = {**(values or {}), **named}, dict(self.inputs)
        for name in given:
            if name in self.free:
                raise SpecError(
                    f"condition({name}=...): {name} is what the family noises, and inputs are bound here"
                    f" ({', '.join(inputs) or 'there are none'}). Declare another variable, c=gm.input(...), for what"
                    " the score depends on."
                )
            if name in dict(self.denoiser.declared_inputs) and name not in inputs:
                raise SpecError(f"condition({name}=...): {name} has a value already. Condition the family from before.")
            if name not in inputs:
                raise unknown_name(f"condition({name}=...)", name, list(inputs), "inputs without a value")
        bound = {
            name: jnp.asarray(checked(f"condition({name}=...)", name, inputs[name], v), dtype_of(inputs[name]))
            for name, v in given.items()
        }
        return dataclasses.replace(self, denoiser=self.denoiser.at(bound))

    def log_density(self, x: Any, t: Any) -> Scalar:
        r"""$\log p_t(x)$, where it is known in closed form.

        Raises:
            SpecError: the score is learned; `gm.log_likelihood` integrates it.
        """
        if self.denoiser.kind == "learned":
            raise SpecError(
                "log_density(x, t): the score is learned, and its density is not known pointwise."
                " Integrate it by gm.log_likelihood(family, x)."
            )
        return _call("log_density", self, self._vector("log_density", x), self._time("log_density", t))

    def score(self, x: Any, t: Any) -> Any:
        r"""$\nabla_x \log p_t(x)$, in the shape of x."""
        return self._like(x, _call("score", self, self._vector("score", x), self._time("score", t)))

    def denoise(self, x: Any, t: Any) -> Any:
        r"""$E[x_0 \mid x_t = x]$, in the shape of x.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> noised = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.Brownian(1.0))
        >>> float(noised.denoise(1.0, 1.0))
        0.5
        """
        return self._like(x, _call("denoise", self, self._vector("denoise", x), self._time("denoise", t)))

    def velocity(self, x: Any, t: Any) -> Any:
        """The velocity of the probability flow, in the shape of x."""
        return self._like(x, _call("velocity", self, self._vector("velocity", x), self._time("velocity", t)))

    def divergence(self, x: Any, t: Any) -> Scalar:
        r"""$\nabla \cdot \nabla \log p_t(x)$, the trace of the Jacobian of the score."""
        return _call("divergence", self, self._vector("divergence", x), self._time("divergence", t))

    def at(self, t: float) -> Model:
        """The model at one time; at t = 0 the model itself.

        Raises:
            SpecError: the density is not known (a learned score; a data set at t = 0).
        """
        moment = self._time("at", t)
        if float(t) == 0.0 and self.model is not None:
            return self.model
        if float(t) == 0.0 and not self.denoiser.zero_is_finite:
            raise SpecError("at(0): a data set has no density. Take a time above 0.")
        factor = self.denoiser.frozen(self.process, moment, self.declared)
        if factor is None:
            raise SpecError("at(t): the score is learned, and its density is not known. Sample by gm.ReverseSDE().")
        return Model(factors=(factor,), declared=self.declared, dims=self.dims, coords=self.coords)

    def transition(self, s: Any, t: Any) -> Transition:
        r"""The Gaussian $q(x_t \mid x_s) = N(\text{scale}\, x_s, \text{std}^2 I)$ for $s \le t$.

        Raises:
            SpecError: times that are none, or in the wrong order.
        """
        return self.process.transition(*self._two_times("transition", s, t))

    def bridge(self, s: Any, t: Any) -> Bridge:
        r"""The Gaussian $q(x_s \mid x_t, x_0) = N(\text{noisy}\, x_t + \text{clean}\, x_0, \text{std}^2 I)$, $s < t$.

        Raises:
            SpecError: times that are none, or in the wrong order.
        """
        before, after = self._two_times("bridge", s, t)
        if not isinstance(after, Tracer) and float(after) == 0.0:
            raise SpecError("bridge(s, t=0.0): there is no time before the data. Take t above 0.")
        return self.process.bridge(before, after)

    def reverse_conditional(self, x: Any, t: Any, dt: Any) -> Model:
        r"""The exact law of $x_{t - dt}$ given $x_t = x$, a mixture, as a model.

        Args:
            x: the point at time t.
            t: its time.
            dt: how far back, at most t.

        Raises:
            SpecError: the score is learned; a step past the data; a data set at dt = t.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> noised = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.Brownian(1.0))
        >>> before = noised.reverse_conditional(1.0, t=1.0, dt=0.5)
        >>> round(float(gm.compile(before).log_density({"x": 0.75})), 4)  # N(0.75, 0.375)
        -0.4285
        """
        return self._one_step_back("reverse_conditional", exact_factor, x, t, dt)

    def reverse_gaussian(self, x: Any, t: Any, dt: Any) -> Model:
        r"""The Gaussian that the law of $x_{t - dt}$ given $x_t = x$ tends to as dt falls, for learned scores, too.

        For Brownian noise $N(x + \sigma^2 dt\, s(x, t),\ \sigma^2 dt\, I)$; it is off by order dt squared in nats.

        Raises:
            SpecError: a step past the data, or a time at which no signal is left.
        """
        return self._one_step_back("reverse_gaussian", gaussian_factor, x, t, dt)

    def carry(self, x: Any, s: Any, t: Any, *, rtol: float = 1e-5, atol: float = 1e-5) -> Any:
        """Where the flow without noise carries a point from time s to time t, forward or backward; in the shape of x.

        Args:
            x: the point at time s.
            s: its time.
            t: the time to go to.
            rtol: relative tolerance per step.
            atol: absolute tolerance, in the units of the data.

        Raises:
            SpecError: a time that is none, or at which the score is not finite.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> noised = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.Brownian(1.0, t_max=3.0))
        >>> round(float(noised.carry(1.0, 0.0, 3.0)), 3)
        2.0
        """
        check_tolerances(rtol, atol)
        start, vector = self._time("carry", s), self._vector("carry", x)
        return self._like(x, carried(self.flat, vector, start, self._time("carry", t), rtol, atol))

    def capabilities(self) -> Capabilities:
        """What the family offers."""
        return Capabilities(normalized=True, drawable=True, score=self.denoiser.kind)

    def __repr__(self) -> str:
        lines = [f"Noised by {self.process}, score {self.denoiser.kind}"]
        lines += [f"  {name}: {space.title}" for name, space in self.declared]
        return "\n".join(lines + [f"  {name}: input, {space.title}" for name, space in self.inputs])

    def _one_step_back(self, operation: str, factor_of: Any, x: Any, t: Any, dt: Any) -> Model:
        after, vector = self._time(operation, t), self._vector(operation, x)
        check_step(operation, t, dt)
        before = jnp.where(jnp.equal(dt, t), 0.0, after - jnp.asarray(dt, float))
        factor = factor_of(self.process, self.denoiser, self.declared, vector, before, after)
        return Model(factors=(factor,), declared=self.declared, dims=self.dims, coords=self.coords)

    def _two_times(self, operation: str, s: Any, t: Any) -> tuple[Array, Array]:
        times = self._time(operation, s), self._time(operation, t)
        if not any(isinstance(time, Tracer) for time in times) and not float(s) <= float(t):
            raise SpecError(f"{operation}(s={float(s)}, t={float(t)}): s is the earlier time. Swap them.")
        return times

    def _check_bound(self) -> None:
        if self.inputs:
            name, space = self.inputs[0]
            raise SpecError(
                f"the score depends on the input {name} ({space.title}), which has no value. Bind it,"
                f" family.condition({name}=...)."
            )

    def _vector(self, operation: str, x: Any) -> Array:
        """The flat vector of a point given as an array or a dict."""
        self._check_bound()
        named = x if isinstance(x, Mapping) else {self.free[0]: x} if len(self.declared) == 1 else None
        if named is None or set(named) != set(self.free):
            given = f"a {type(x).__name__}" if named is None else ", ".join(map(str, named))
            raise SpecError(f"{operation}(x, t): {given}, but the variables are {', '.join(self.free)}. Pass a dict.")
        for name, space in self.declared:
            if np.shape(named[name]) != space.shape:
                raise SpecError(
                    f"{operation}(x, t): {name} has shape {np.shape(named[name])}, but was declared {space.shape}."
                    " Pass one point; for many, use jax.vmap."
                )
        return flatten(self.declared, named)

    def _time(self, operation: str, t: Any) -> Array:
        if np.shape(t) != ():
            raise SpecError(f"{operation}(x, t): t has shape {np.shape(t)}, one time is needed. Use jax.vmap.")
        if isinstance(t, Tracer) or isinstance(self.process.t_max, Tracer):
            return jnp.asarray(t, float)
        if not 0.0 <= float(t) <= self.process.t_max * (1 + 1e-6):
            raise SpecError(f"{operation}(x, t={float(t)}): time runs from 0 (data) to {self.process.t_max} (noise).")
        blurred = self.denoiser.zero_is_finite or float(self.process.sigma(jnp.zeros(()))) > 0
        if float(t) == 0.0 and operation not in ("at", "transition", "bridge") and not blurred:
            raise SpecError(f"{operation}(x, t=0): without noise there is no density here. Take a time above 0.")
        return jnp.asarray(t, float)

    def _like(self, x: Any, vector: Array) -> Any:
        named = unflatten(self.declared, vector)
        return named if isinstance(x, Mapping) else named[self.free[0]]


def same_variables(model: Model, family: Noised) -> bool:
    """Whether a model has just the variables of a family, in its spaces."""
    return set(model.free) == set(family.free) and all(model.spaces[name] == space for name, space in family.declared)


def _call(what: str, family: Noised, x: Array, t: Array) -> Array:
    """One method of the denoiser, compiled once per structure."""
    skeleton, arrays = strip((family.process, family.denoiser))
    return _evaluate_compiled(what, skeleton, arrays, x, t)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _evaluate_compiled(what: str, skeleton: Skeleton, arrays: Any, x: Array, t: Array) -> Array:
    process, denoiser = skeleton.fill(arrays)
    return getattr(denoiser, what)(process, x, t)
