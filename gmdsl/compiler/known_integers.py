"""The whole numbers among the data of a model, put back as numbers where a program is traced.

Arrays of a model are arguments of compiled functions, so that other data compile nothing. But which variables interact
may depend on whole numbers: edges of a graph, groups. A sampler that reads scopes off a program keeps them as a part of
itself; other edges are another program.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.target import Target


@dataclass(frozen=True)
class KnownIntegers:
    """Whole numbers and truth values of a compiled model; equal where these are, of one structure.

    Attributes:
        structure: of the model.
        digest: of the numbers.
        arrays: pairs of a place among the arrays of the model and the numbers there.
    """

    structure: Any
    digest: bytes
    arrays: Any

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, KnownIntegers) and self.structure == other.structure
        return same and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.structure, self.digest))

    def within(self, target: Target) -> Target:
        """A target with these numbers known in it, where it is of this model (and of no other besides); else itself."""
        parts, outside = jax.tree.flatten(target, is_leaf=lambda part: isinstance(part, FlatTarget))
        models = [place for place, part in enumerate(parts) if isinstance(part, FlatTarget)]
        if len(models) != 1:
            return target
        leaves, structure = jax.tree.flatten(parts[models[0]])
        if structure != self.structure:
            return target
        with jax.ensure_compile_time_eval():
            for place, array in self.arrays:
                leaves[place] = jnp.asarray(array)
        parts[models[0]] = jax.tree.unflatten(structure, leaves)
        return jax.tree.unflatten(outside, parts)


def known_integers(target: FlatTarget) -> KnownIntegers | None:
    """The whole numbers of a compiled model; None where there are none, or where they are traced.

    >>> import gmdsl as gm
    >>> graph = gm.energy(lambda s, e: -(s[e[:, 0]] * s[e[:, 1]]).sum(), s=gm.Spin(3), e=gm.data([[0, 1], [1, 2]]))
    >>> [array.tolist() for _, array in known_integers(gm.compile(graph).target).arrays]
    [[[0, 1], [1, 2]]]
    """
    leaves, structure = jax.tree.flatten(target)
    places = [place for place, leaf in enumerate(leaves) if np.dtype(leaf.dtype).kind in "iub"]
    if not places or any(isinstance(leaves[place], Tracer) for place in places):
        return None
    arrays, digest = [], hashlib.sha256()
    for place in places:
        array = np.asarray(leaves[place])
        digest.update(f"{place} {array.dtype} {array.shape}".encode() + array.tobytes())
        arrays.append((place, array))
    return KnownIntegers(structure, digest.digest(), tuple(arrays))
