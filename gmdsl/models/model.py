"""The model: a joint density drawn as a factor graph, and what can be done with it.

A model is spaces, factors and observed values. It is immutable and a pytree: the arrays of its data,
observations, parameters and modules are leaves, everything else is structure. What can be done with it is imported when
it is done: a process that samples an energy needs no rules of integration.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.graph.ancestral import draw
from gmdsl.graph.as_networkx import as_networkx
from gmdsl.graph.capability import Capabilities, capabilities
from gmdsl.graph.factor import Factor
from gmdsl.graph.factor_graph import FactorGraph, Pairs, Spaces
from gmdsl.graph.nodes import Param
from gmdsl.models.display import as_html, as_rich, text

if TYPE_CHECKING:
    import networkx


class Model(FactorGraph):
    """A factor graph over named variables. Made by `gm.energy`, `gm.joint` and the operators.

    Its attributes, and what is derived from them, are those of `FactorGraph`.
    """

    factors: tuple[Factor, ...]
    declared: Spaces = eqx.field(static=True)
    data: dict[str, Any] = eqx.field(default_factory=dict)
    params: dict[str, Param] = eqx.field(default_factory=dict)
    observed: dict[str, Any] = eqx.field(default_factory=dict)
    inputs: Spaces = eqx.field(static=True, default=())
    constants: Pairs = eqx.field(static=True, default=())
    bound: Spaces = eqx.field(static=True, default=())
    narrowed: tuple[str, ...] = eqx.field(static=True, default=())
    dims: Pairs = eqx.field(static=True, default=())
    coords: Pairs = eqx.field(static=True, default=())

    __array_priority__: ClassVar[int] = 1000

    @property
    def graph(self) -> "networkx.DiGraph":
        """The factor graph: variables and factors are nodes, with kind, role, space and label.

        >>> import gmdsl as gm
        >>> ring = gm.energy(lambda x: x @ x, x=gm.Real(2))
        >>> sorted(ring.graph)
        ['energy(x)', 'x']
        """
        return as_networkx(self)

    def condition(
        self, values: Mapping[str, Any] | None = None, /, *, missing: str | None = None, **named: Any
    ) -> "Model":
        """The model with some variables observed (or inputs bound).

        Args:
            values: values by name, for names that are not identifiers.
            missing: `"marginalise"` integrates the NaN elements of these values out, exactly; without it they are
                an error.
            named: values by name; each has exactly the declared shape.

        Raises:
            SpecError: an unknown name, another shape or kind of number, NaN, a value outside the
                support, a variable that is computed from others, or gaps that no rule integrates out.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 1).expand([3]))
        >>> model.condition(y=[1.0, 2.0, 3.0]).free
        ('mu',)
        """
        from gmdsl.models.operators.condition import condition

        return condition(self, {**(values or {}), **named}, missing)

    def sample(self, key: Array, shape: tuple[int, ...] | int = ()) -> dict[str, Array]:
        """Ancestral draws of every random and deterministic variable.

        Args:
            key: a JAX random key.
            shape: how many independent draws; they come first in the shape of each value.

        Raises:
            SpecError: the model has an energy, a cycle, or is observed below a free variable; use `gm.sample`.

        >>> import jax, gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(a=dist.Normal(0, 1), b=lambda a: dist.Normal(a, 1))
        >>> model.sample(jax.random.key(0), 5)["b"].shape
        (5,)
        """
        sizes = (shape,) if isinstance(shape, int) else shape
        if not isinstance(sizes, tuple | list) or not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise SpecError(f"sample(key, {shape!r}): how many draws is a whole number or a tuple of them.")
        return draw(self, key, tuple(sizes))

    def weight(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """The model with the log-density of each element of an observed variable multiplied by a weight.

        Args:
            values: weights by name, for names that are not identifiers.
            named: weights by name: one number, or one per batch element.

        Raises:
            SpecError: a variable that is not observed, a negative or infinite weight, another shape.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 1).expand([2]))
        >>> once = model.condition(y=[1.0, 2.0]).weight(y=[1.0, 0.0])
        >>> round(float(gm.compile(once).score({"mu": 0.0})["mu"]), 6)
        1.0
        """
        from gmdsl.models.operators.weight import weight

        return weight(self, {**(values or {}), **named})

    def rename(self, names: Mapping[str, str] | None = None, /, **named: str) -> "Model":
        """The model with variables renamed, `rename(old="new")`.

        Raises:
            SpecError: an old name that does not exist, or a new one that does.
        """
        from gmdsl.models.operators.rename import rename

        return rename(self, {**(names or {}), **named})

    def capabilities(self) -> Capabilities:
        """What the model offers: normalised, drawable, and why not."""
        return capabilities(self)

    def marginalize(self, *names: str, rules: Sequence[Any] = ()) -> "Model":
        """The model with some variables integrated out, exactly.

        What depends on them becomes one factor; what is computed from them is gone. Data, parameters
        and inputs that are read stay where they are. Products and later marginals act on the marginal.

        Args:
            names: random variables that are not observed.
            rules: rules of your own, asked before those of gmdsl; functions of (model, hidden, shapes) that return a
                `gmdsl.exact.rule.Rule`, or in words why they do not apply.

        Raises:
            SpecError: another kind of name, or no exact rule applies; the message says why, and what estimates.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> chain = gm.joint(z=dist.Normal(0, 1), x=lambda z: dist.Normal(z, 1)).marginalize("z")
        >>> print(chain)
        Model
        p(x)
          x: Real(), free
        >>> print(gm.compile(chain).explain().splitlines()[-1])
          z: integrated out, linear-Gaussian
        """
        from gmdsl.models.operators.marginalize import marginalize

        return marginalize(self, names, rules)

    def factorize(self) -> "list[Model]":
        """The conditionals as models with inputs, parents first; their product is the model.

        Raises:
            SpecError: the model has an undirected term.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(x=dist.Normal(0, 1), y=lambda x: dist.Normal(x, 1))
        >>> [(part.free, [name for name, _ in part.inputs]) for part in model.factorize()]
        [(('x',), []), (('y',), ['x'])]
        """
        from gmdsl.models.operators.factorize import factorize

        return factorize(self)

    def do(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """The model under an intervention: the arrows into these variables are cut, and they become data.

        Raises:
            SpecError: an unknown name, a value outside the support, a variable that no arrow leads to.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(x=dist.Normal(0, 1), y=lambda x: dist.Normal(x, 1))
        >>> model.do(y=3.0).free, model.do(y=3.0).capabilities().normalized  # x does not learn from it
        (('x',), True)
        """
        from gmdsl.models.operators.intervene import do

        return do(self, {**(values or {}), **named})

    def independent(self, first: str | Sequence[str], second: str | Sequence[str], given: Any = ()) -> bool:
        """Whether the graph makes variables independent given others and what is observed (d-separation).

        Independence that numbers make and the graph does not show is not found.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(a=dist.Normal(0, 1), b=dist.Normal(0, 1), c=lambda a, b: dist.Normal(a + b, 1))
        >>> model.independent("a", "b"), model.independent("a", "b", given="c")
        (True, False)
        """
        from gmdsl.models.operators.independence import independent

        return independent(self, first, second, given)

    def reparametrize(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """The model in other coordinates, `reparametrize(theta=gm.NonCentred())`; every law stays.

        Raises:
            SpecError: an unknown or observed variable, or a distribution without such coordinates.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> model = gm.joint(tau=dist.HalfNormal(1), theta=lambda tau: dist.Normal(0, tau))
        >>> model.reparametrize(theta=gm.NonCentred()).free
        ('tau', 'theta_raw')
        """
        from gmdsl.models.operators.reparametrize import reparametrize

        return reparametrize(self, {**(changes or {}), **named})

    def responsibilities(self, values: Any) -> Array:
        """The posterior probabilities of the hidden label of a mixture at one point.

        Args:
            values: the free variables (and inputs) by name; or the value itself where there is one variable.

        Returns:
            One probability per part, in the order of the parts.

        Raises:
            SpecError: the model holds no mixture or several, or a value is missing.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> low, high = gm.joint(x=dist.Normal(-1.0, 1.0)), gm.joint(x=dist.Normal(1.0, 1.0))
        >>> [round(float(r), 4) for r in gm.mixture([0.25, 0.75], low, high).responsibilities({"x": 0.0})]
        [0.25, 0.75]
        """
        from gmdsl.models.operators.responsibilities import responsibilities

        return responsibilities(self, values)

    def __mul__(self, other: "Model") -> "Model":
        from gmdsl.models.operators.product import product

        return product(self, other) if isinstance(other, Model) else NotImplemented

    def __pow__(self, exponent: float) -> "Model":
        """The density to a power: every term, observed ones included, in the constrained variables."""
        from gmdsl.models.operators.power import power

        return power(self, exponent)

    def __truediv__(self, other: "Model") -> "Model":
        """The quotient of two densities over shared names."""
        return self * other**-1.0 if isinstance(other, Model) else NotImplemented

    def _repr_html_(self) -> str:
        """Tables of the variables and the factors, for notebooks."""
        return as_html(self)

    def __rich__(self) -> Any:
        """Tables of the variables and the factors, for terminals: `rich.print(model)`."""
        return as_rich(self)

    def __repr__(self) -> str:
        return text(self)
