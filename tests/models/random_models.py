"""Random directed models, each as a gmdsl model and as the NumPyro function that says the same."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import gmdsl as gm

# Kinds of arguments: r a real number, p a positive one, u one between 0 and 1.
FAMILIES = {
    "Normal": "rp",
    "Laplace": "rp",
    "Cauchy": "rp",
    "Logistic": "rp",
    "Gumbel": "rp",
    "StudentT": "prp",
    "LogNormal": "rp",
    "Gamma": "pp",
    "InverseGamma": "pp",
    "Exponential": "p",
    "HalfNormal": "p",
    "HalfCauchy": "p",
    "Weibull": "pp",
    "Beta": "pp",
    "Kumaraswamy": "pp",
    "VonMises": "rp",
    "Poisson": "p",
    "NegativeBinomial2": "pp",
    "BetaBinomial": "pp4",
    "Bernoulli": "u",
    "Binomial": "4u",
    "Geometric": "u",
}
DISCRETE = ("Poisson", "NegativeBinomial2", "BetaBinomial", "Bernoulli", "Binomial", "Geometric")
FINITE = {"Bernoulli": 2, "Binomial": 5, "BetaBinomial": 5}


@dataclasses.dataclass(frozen=True)
class Node:
    """A variable: its name, family, parents, size (0 for a number), and the source of its distribution."""

    name: str
    family: str
    parents: tuple[str, ...]
    size: int
    source: str

    @property
    def node(self) -> Any:
        """The node of `gm.joint`."""
        return eval(f"lambda {', '.join(self.parents)}: {self.source}", {"dist": dist, "jnp": jnp, "jax": jax})

    def distribution(self, values: dict[str, Any]) -> Any:
        """The distribution given the values of its parents."""
        return self.node(**{name: values[name] for name in self.parents})


def random_nodes(seed: int) -> list[Node]:
    """Three to six variables, each with up to two parents among those before it."""
    rng = np.random.default_rng(seed)
    nodes: list[Node] = []
    for index in range(int(rng.integers(3, 7))):
        parents = [nodes[i] for i in sorted(rng.choice(len(nodes), min(len(nodes), int(rng.integers(0, 3))), False))]
        family = str(rng.choice(list(FAMILIES)))
        size = int(rng.choice([0, 3]))
        arguments = [_argument(rng, kind, parents, size) for kind in FAMILIES[family]]
        if family in ("Bernoulli", "Geometric"):
            arguments = [f"probs={arguments[0]}"]
        if family == "Binomial":
            arguments[1] = f"probs={arguments[1]}"
        source = f"dist.{family}({', '.join(arguments)})" + (f".expand([{size}])" if size else "")
        nodes.append(Node(f"v{index}", family, tuple(parent.name for parent in parents), size, source))
    return nodes


def _argument(rng: np.random.Generator, kind: str, parents: list[Node], size: int) -> str:
    """The source of an argument of one kind."""
    if kind not in "rpu":
        return kind
    terms = [f"{rng.uniform(0.2, 1.5):.3f}"]
    for parent in parents:
        if rng.uniform() < 0.7:
            value = parent.name if parent.size in (0, size) else f"{parent.name}.mean()"
            terms.append(f"{rng.choice([-0.3, 0.2, 0.5])} * jnp.tanh({value})")
    real = " + ".join(terms)
    positive = [f"jnp.exp(0.5 * ({real}))", f"jax.nn.softplus({real})", f"(0.1 + ({real}) ** 2)"]
    return {"r": real, "p": str(rng.choice(positive)), "u": f"jax.nn.sigmoid({real})"}[kind]


def joint_of(nodes: list[Node], **more: Any) -> gm.Model:
    """The gmdsl model."""
    return gm.joint({node.name: node.node for node in nodes}, **more)


def numpyro_of(nodes: list[Node]) -> Any:
    """The NumPyro function."""

    def run() -> None:
        values: dict[str, Any] = {}
        for node in nodes:
            values[node.name] = numpyro.sample(node.name, node.distribution(values))

    return run


def draw(nodes: list[Node], seed: int) -> dict[str, Any]:
    """A draw of all variables."""
    sites = numpyro.handlers.trace(numpyro.handlers.seed(numpyro_of(nodes), seed)).get_trace()
    return {name: site["value"] for name, site in sites.items()}


def log_prob(node: Node, values: dict[str, Any]) -> Any:
    """The log-density of one variable given its parents, element by element."""
    return node.distribution(values).log_prob(values[node.name])
