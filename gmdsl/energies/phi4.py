r"""The $\phi^4$ field on a lattice that closes to a torus: a field theory, and a magnet with soft spins.

$$S(\phi) = \sum_x \left[ \sum_\mu (\phi_x - \phi_{x + \mu})^2 + m^2 \phi_x^2 + \lambda \phi_x^4 \right]$$

over the directions $\mu$ of the lattice. With $m^2 < 0$ every site has two wells, and the field has two phases, of
either sign, once the lattice has two directions. Known exactly are the free field, $\lambda = 0$, whose modes are
Gaussian with precision $2 m^2 + 8 \sum_\mu \sin^2(\pi k_\mu / L_\mu)$, and the chain, whose transfer operator
$e^{-U(\phi)/2 - (\phi - \phi')^2 - U(\phi')/2}$, $U = m^2 \phi^2 + \lambda \phi^4$, is a matrix on quadrature nodes.

Reference:
    Albergo, Kanwar and Shanahan, *Flow-based generative models for Markov chain Monte Carlo in lattice field theory*,
    Physical Review D 100, 2019, arXiv:1904.12072 (this normalisation).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.space import Real

DEEP = 60.0  # above the lowest potential nothing is left
NODES = (300, 450)  # of the transfer operator; log Z of the two agrees
AGREEMENT = 1e-9


def phi4(*shape: int, mass_squared: float = -4.0, coupling: float = 6.975) -> KnownTarget:
    r"""The field `phi` on a lattice.

    Args:
        shape: sites in each direction; two sites in one direction touch twice.
        mass_squared: m^2; above zero where there is no coupling.
        coupling: $\lambda$, at least 0.

    Returns:
        The target, of mean zero. log Z and the variance: without coupling, and in one dimension. Draws: without
        coupling. The reference is a Gaussian, somewhat wider than the field or, where that is not known, than one
        site without neighbours.

    Raises:
        SpecError: no size, a negative coupling, a free field without a mass, or a chain too stiff for the quadrature.

    >>> import gmdsl as gm
    >>> target = gm.energies.phi4(8, mass_squared=1.0, coupling=0.0)
    >>> round(target.log_z, 6), round(float(target.variance["phi"][0]), 6)
    (0.729678, 0.22381)
    """
    if not shape:
        raise SpecError("phi4(): no size was given. Write gm.energies.phi4(8, 8) for a lattice of 8 by 8 sites.")
    sizes = tuple(check_whole("phi4", "shape", size, 1) for size in shape)
    mass, quartic = check_number("phi4", "mass_squared", mass_squared), check_number("phi4", "coupling", coupling)
    if quartic < 0 or (quartic == 0 and mass <= 0):
        raise SpecError(
            f"phi4(mass_squared={mass:g}, coupling={quartic:g}): the density has no integral. Take a coupling above 0,"
            " or none and a mass_squared above 0."
        )
    axes = range(len(sizes))

    def action(phi: Array) -> Array:
        bonds = sum(((phi - jnp.roll(phi, -1, axis)) ** 2).sum() for axis in axes)
        return bonds + (mass * phi**2 + quartic * phi**4).sum()

    log_z, variance, draw = None, None, None
    widest = None
    if quartic == 0.0:
        precision = _precision(sizes, mass)
        log_z = float(0.5 * np.sum(np.log(2 * np.pi / precision)))
        variance, draw = float(np.mean(1.0 / precision)), _drawing(precision)
        widest = 1.0 / precision.min()  # of all modes; a site has less
    elif len(sizes) == 1:
        log_z, variance = _chain(sizes[0], mass, quartic)
    widest = widest or variance or _site(mass, quartic)
    return KnownTarget(
        model=energy(action, name="phi4", phi=Real(*sizes)),
        log_z=log_z,
        mean={"phi": np.zeros(sizes)},
        variance=None if variance is None else {"phi": np.full(sizes, variance)},
        draw=draw,
        reference=joint(phi=dist.Normal(0.0, 1.25 * float(np.sqrt(widest))).expand(sizes).to_event(len(sizes))),
    )


def _precision(sizes: tuple[int, ...], mass: float) -> np.ndarray:
    """The precision of each Fourier mode of the free field."""
    waves = np.meshgrid(*[8 * np.sin(np.pi * np.arange(size) / size) ** 2 for size in sizes], indexing="ij")
    return 2 * mass + np.sum(waves, axis=0)


def _drawing(precision: np.ndarray) -> Any:
    """White noise whose modes are scaled: the square root of the covariance is a real convolution."""

    def draw(key: Array, count: int) -> dict[str, Any]:
        axes = tuple(range(1, precision.ndim + 1))
        white = generator_of(key).standard_normal((count, *precision.shape))
        return {"phi": np.fft.ifftn(np.fft.fftn(white, axes=axes) / np.sqrt(precision), axes=axes).real}

    return draw


def _chain(length: int, mass: float, quartic: float) -> tuple[float, float]:
    """Log Z and the variance of a site of a ring, by the spectrum of the transfer operator."""
    (rough, _), (log_z, variance) = (_on_nodes(length, mass, quartic, nodes) for nodes in NODES)
    if not abs(log_z - rough) < AGREEMENT * length:
        raise SpecError(
            f"phi4({length}, mass_squared={mass:g}, coupling={quartic:g}): the quadrature of the chain does not settle,"
            f" {rough:.12g} with {NODES[0]} nodes and {log_z:.12g} with {NODES[1]}. Take wells that are less deep."
        )
    return log_z, variance


def _on_nodes(length: int, mass: float, quartic: float, count: int) -> tuple[float, float]:
    places, weights = np.polynomial.legendre.leggauss(count)
    end = _end(mass, quartic)
    phi, weights = end * places, end * weights
    log_half = 0.5 * (np.log(weights) - mass * phi**2 - quartic * phi**4)
    log_t = log_half[:, None] + log_half - (phi[:, None] - phi) ** 2
    top = float(log_t.max())
    values, vectors = np.linalg.eigh(np.exp(log_t - top))
    powers = (values / values[-1]) ** length
    law = (vectors**2) @ powers / powers.sum()
    log_z = length * (top + np.log(values[-1])) + np.log(powers.sum())
    return float(log_z), float(law @ phi**2)


def _end(mass: float, quartic: float) -> float:
    """Where the potential of a site is so high that nothing is left."""
    lowest = -(mass**2) / (4 * quartic) if mass < 0 else 0.0
    level = DEEP + lowest
    root = np.sqrt(mass**2 + 4 * quartic * level)
    return float(np.sqrt(2 * level / (mass + root) if mass > 0 else (root - mass) / (2 * quartic)))


def _site(mass: float, quartic: float) -> float:
    """The mean square of one site without neighbours."""
    return _on_nodes(1, mass, quartic, NODES[0])[1]
