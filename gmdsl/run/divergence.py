r"""`gm.entropy` and `gm.kl`: $H(p) = -E_p[\log p]$ and $KL(p \| q) = E_p[\log p - \log q]$, with their errors.

With $f = \log p + \log Z$, what a model computes,

$$H(p) = \log Z_p - E_p[f_p], \qquad KL(p \| q) = E_p[f_p - f_q] - \log Z_p + \log Z_q.$$

Gaussians have both in closed form. Elsewhere the mean is that of `gm.expectation` (a sum, quadrature in up to three
dimensions, or draws) and the constants those of `gm.log_normalizer`; errors of all parts add up.

Reference:
    Cover and Thomas, *Elements of information theory*, 2006, chapters 2 and 8.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.log_normalizer import log_normalizer
from gmdsl.core.errors import SpecError
from gmdsl.core.settings import checked_settings
from gmdsl.exact.gaussian.from_model import gaussian_mixture
from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.run.expectation import Expectation, expectation

type Constant = tuple[float, float, str]


@checked_settings
def entropy(model: Any, method: Any = None, *, log_z: Any = None, seed: int = 0, **settings: Any) -> Expectation:
    r"""The entropy of a model, in nats; of continuous variables the differential entropy, in their own units.

    Args:
        model: a model, normalised or not, observed in part or not at all.
        method: how the mean is taken, as in `gm.expectation`: `gm.Quadrature()`, `gm.MonteCarlo(...)` or a sampler.
        log_z: the log normalising constant where neither a rule nor quadrature gives it: a number, or the result of
            `gm.log_z`, whose error then counts.
        seed: for draws.
        settings: of `gm.sample`, where the method is a sampler.

    Returns:
        The value, its error, and how it came about.

    Raises:
        SpecError: no model; the constant or the mean has no way that works; the message says what does.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> found = gm.entropy(gm.joint(x=dist.Normal(0.0, 2.0)))
    >>> round(float(found), 5), found.method  # log(2 sqrt(2 pi e))
    (2.11209, 'closed form of a Gaussian')
    """
    model = _checked("entropy", model)
    if method is None and (normal := _gaussian(model)) is not None:
        covariance = np.asarray(normal.covariances[0], float)
        value = 0.5 * (len(covariance) * (1.0 + math.log(2.0 * math.pi)) + np.linalg.slogdet(covariance)[1])
        return _exact(value, "closed form of a Gaussian")
    constant = _constant("entropy", model, log_z, "log_z")
    target = FlatTarget.of(model)
    mean = expectation(model, lambda v: _finite(target, model, v), method, seed=seed, **settings)
    return _sum(-mean.value, mean, (constant,), 1.0)


@checked_settings
def kl(p: Any, q: Any, method: Any = None, *, log_z: Any = None, seed: int = 0, **settings: Any) -> Expectation:
    r"""The Kullback-Leibler divergence $KL(p \| q)$ of two models of the same variables, in nats.

    It is infinite where q has no mass and p has some.

    Args:
        p: the model under which the mean is taken.
        q: the other; the same free variables in the same spaces.
        method: how the mean is taken, as in `gm.expectation`.
        log_z: the log normalising constants of p and q where neither a rule nor quadrature gives them: a pair of
            numbers, or of results of `gm.log_z`; None in the place of one that is known.
        seed: for draws.
        settings: of `gm.sample`, where the method is a sampler.

    Raises:
        SpecError: other variables; the constants or the mean have no way that works; the message says what does.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> p, q = gm.joint(x=dist.Normal(0.0, 1.0)), gm.joint(x=dist.Normal(1.0, 2.0))
    >>> round(float(gm.kl(p, q)), 5), round(float(gm.kl(q, p)), 5)  # q covers p; p does not cover q
    (0.44315, 1.30685)
    """
    p, q = _checked("kl", p), _checked("kl", q)
    if {n: p.spaces[n] for n in p.free} != {n: q.spaces[n] for n in q.free}:
        told = " and ".join(", ".join(f"{n}: {m.spaces[n].title}" for n in m.free) for m in (p, q))
        raise SpecError(f"kl(p, q): their variables differ, {told}. Give two models of the same variables.")
    forms = (_gaussian(p), _gaussian(q)) if method is None else (None, None)
    if forms[0] is not None and forms[1] is not None:
        return _exact(_gaussian_kl(forms[0], forms[1], _order(p, q)), "closed form of two Gaussians")
    given = (None, None) if log_z is None else log_z
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise SpecError(f"kl(log_z={log_z!r}): two are needed, of p and of q; None for one that is known.")
    constants = [_constant("kl", m, z, f"log_z of {n}") for m, z, n in zip((p, q), given, "pq", strict=True)]
    if _is_outside(p, q, seed):
        return Expectation(np.asarray(np.inf), np.asarray(0.0), "infinite: p draws where q has no mass")
    first, second = FlatTarget.of(p), FlatTarget.of(q)
    gap = lambda v: _finite(first, p, v) - _finite(second, q, v)  # noqa: E731
    mean = expectation(p, gap, method, seed=seed, **settings)
    return _sum(mean.value, mean, constants, -1.0)


def _checked(verb: str, model: Any) -> Model:
    model = getattr(model, "model", model)  # a compiled density holds its model
    if not isinstance(model, Model) or model.inputs or not model.free:
        told = "a model without inputs" if isinstance(model, Model) else mistaken(model)
        raise SpecError(f"{verb}(...): a model with free variables and no open inputs is needed, not {told}.")
    return model


def _gaussian(model: Model) -> GaussianMixture | None:
    """The Gaussian that a model is, in double precision; None where it is none."""
    with jax.enable_x64(True):
        found = gaussian_mixture(model)
    return found if found is not None and len(found.log_weights) == 1 else None


def _gaussian_kl(p: GaussianMixture, q: GaussianMixture, order: np.ndarray) -> float:
    mean, covariance = np.asarray(p.means[0], float), np.asarray(p.covariances[0], float)
    other = np.asarray(q.covariances[0], float)[np.ix_(order, order)]
    gap = np.asarray(q.means[0], float)[order] - mean
    far = gap @ np.linalg.solve(other, gap) + np.trace(np.linalg.solve(other, covariance)) - len(mean)
    return float(0.5 * (far + np.linalg.slogdet(other)[1] - np.linalg.slogdet(covariance)[1]))


def _order(p: Model, q: Model) -> np.ndarray:
    """Where the coordinates of p lie in the flat vector of q."""
    sizes = [math.prod(q.spaces[name].shape) for name in q.free]
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    return np.concatenate([parts[q.free.index(name)] for name in p.free])


def _constant(verb: str, model: Model, given: Any, name: str) -> Constant:
    """The log normalising constant of a model, its error, and how it came about."""
    if given is None:
        try:
            found = log_normalizer(model)
        except SpecError as error:
            raise SpecError(f"{verb}(...): {error} Give what it finds, {verb}(..., {name.split()[0]}=...).") from None
        return found.log_z, found.error, "" if found.error == 0.0 else f"log Z by {found.method}"
    value, error = getattr(given, "log_z", given), getattr(given, "error", getattr(given, "standard_error", 0.0))
    if not isinstance(value, int | float | np.ndarray | jax.Array) or np.shape(value) != ():
        raise SpecError(f"{verb}({name}={given!r}): a number, or the result of gm.log_z, is needed.")
    doubt = "" if getattr(given, "status", "ok") == "ok" else ", suspect"
    return float(value), float(error), f"log Z as given{doubt}"


def _finite(target: FlatTarget, model: Model, values: Any) -> jax.Array:
    """The log-density, and 0 where there is no mass: what is integrated has none there either."""
    found = target.log_density_at({name: values[name] for name in model.free})
    return jnp.where(found == -jnp.inf, 0.0, found)


def _is_outside(p: Model, q: Model, seed: int) -> bool:
    """Whether p, where it can be drawn from, draws where q has no mass."""
    if not p.capabilities().drawable:
        return False
    draws, target = p.sample(jax.random.key(seed), 1000), FlatTarget.of(q)
    heights = jax.vmap(lambda v: target.log_density_at({name: v[name] for name in q.free}))(draws)
    return bool((np.asarray(heights) == -np.inf).any())


def _sum(value: np.ndarray, mean: Expectation, constants: Any, sign: float) -> Expectation:
    """A mean and one constant, added, or two, the first subtracted and the second added."""
    signs = (sign, -sign)[: len(constants)]
    total = value + sum(s * z for s, (z, _, _) in zip(signs, constants, strict=True))
    error = np.sqrt(mean.error**2 + sum(e**2 for _, e, _ in constants))
    account = "; ".join([mean.method, *dict.fromkeys(told for _, _, told in constants if told)])
    return Expectation(np.asarray(total), np.asarray(error), account)


def _exact(value: Any, method: str) -> Expectation:
    return Expectation(np.asarray(value, float), np.asarray(1e-14 * (1.0 + abs(float(value)))), method)
