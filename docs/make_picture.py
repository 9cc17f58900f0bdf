"""Makes the picture of the README: a model as a graph, and chains on an energy landscape."""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gmdsl as gm
from gmdsl.demo import eight_schools
from gmdsl.models.render import draw_graph

ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2 + x[0], x=gm.Real(2))
density = gm.compile(ring)
tree = gm.sample(ring, gm.NUTS(), chains=4, draws=1500, warmup=1000, seed=0, progress=False)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), width_ratios=(1.25, 1, 1.2))
draw_graph(eight_schools().graph, left)
left.set_title("declare: a graph of densities", fontsize=11)

grid = np.linspace(-3.2, 3.2, 121)
points = jnp.stack(jnp.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
heights = jax.vmap(lambda x: density.log_density({"x": x}))(points).reshape(121, 121)
scores = jax.vmap(lambda x: density.score({"x": x})["x"])(points).reshape(121, 121, 2)[::12, ::12]
middle.contourf(grid, grid, np.exp(heights), levels=20, cmap="Blues")
lengths = np.linalg.norm(scores, axis=-1, keepdims=True)
arrows = scores / np.sqrt(lengths + 1.0)
middle.quiver(grid[::12], grid[::12], arrows[..., 0], arrows[..., 1], color="#444444", scale=60, width=0.005)
middle.set_title("compile: log-density and score", fontsize=11)

right.contour(grid, grid, np.exp(heights), levels=6, cmap="Greys", linewidths=0.7)
for chain, color in zip(tree["posterior"]["x"].values, ("#c44e52", "#4c72b0", "#55a868", "#8172b3"), strict=True):
    right.plot(*chain[::3].T, ".", color=color, markersize=3, alpha=0.6)
right.set_title(f"sample: four chains, gm.check says {gm.check(tree).status}", fontsize=11)
for axes in (middle, right):
    axes.set_xlim(-3.2, 3.2)
    axes.set_ylim(-3.2, 3.2)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
figure.tight_layout()
figure.savefig(pathlib.Path(__file__).parent / "_static" / "readme.png", dpi=130)
