"""Counting densities, and why counting ends in high dimension: empty cells, mass at the surface, error against cells.

Run it with a file name to write the picture, `uv run examples/curse_of_dimensionality.py curse.png`.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import gmdsl as gm

POINTS, CELLS, SHELL = 10_000, 4, 0.05
rng = np.random.default_rng(0)

print(f"{POINTS} uniform points in the unit cube, {CELLS} cells per axis, shell of width {SHELL}")
print(f"{'d':>3}{'cells':>9}{'empty':>9}{'expected':>10}{'at the surface':>16}{'exact':>8}{'relative error':>16}")
dimensions, empty, surface, errors = list(range(1, 9)), [], [], []
for d in dimensions:
    points = rng.uniform(size=(POINTS, d))
    model = gm.histogram(points, bins=[np.linspace(0, 1, CELLS + 1)] * d)
    counts = np.asarray(model.factors[-1].counts)  # of the last variable given the others: all cells
    empty.append(np.mean(counts == 0))
    surface.append(np.mean((np.minimum(points, 1 - points) < SHELL).any(axis=1)))
    density = counts / POINTS * CELLS**d  # the true one is 1 everywhere
    errors.append(np.sqrt(np.mean((density - 1) ** 2)))
    expected, shell = (1 - CELLS**-d) ** POINTS, 1 - (1 - 2 * SHELL) ** d
    print(f"{d:>3}{CELLS**d:>9}{empty[-1]:>9.4f}{expected:>10.4f}{surface[-1]:>16.4f}{shell:>8.4f}{errors[-1]:>16.3f}")
    assert abs(surface[-1] - shell) < 5 * np.sqrt(shell * (1 - shell) / POINTS)
    assert abs(errors[-1] / np.sqrt((CELLS**d - 1) / POINTS) - 1) < 0.7  # the known rate

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
left.plot(dimensions, empty, "o-", label="cells without a point")
left.plot(dimensions, surface, "s-", label=f"points within {SHELL} of the surface")
left.set(xlabel="dimension", ylabel="share", title="space empties, mass goes outside")
left.set_ylim(-0.05, 1.15)
left.legend(frameon=False, loc="upper left")
middle.semilogy(dimensions, errors, "o", label="measured")
middle.semilogy(dimensions, [np.sqrt((CELLS**d - 1) / POINTS) for d in dimensions], "k:", label="known rate")
middle.axhline(1.0, color="0.7")
middle.set(xlabel="dimension", ylabel="relative error of the density", title="the error outgrows the density")
middle.legend(frameon=False)

cells = np.unique(np.geomspace(2, 128, 40).astype(int))
for n, color in ((100, "C0"), (1_000, "C1"), (10_000, "C2")):
    rows = np.sqrt(rng.uniform(size=(12, n)))  # from p(x) = 2 x
    measured, exact = [], []
    for k in cells:
        edges = np.linspace(0, 1, k + 1)
        share = np.diff(edges**2)
        counts = [np.asarray(gm.histogram(row, bins=edges).factors[0].counts) for row in rows]
        bias = 1 / (3 * k**2)  # h^2 / 12 times the integral of p'(x)^2
        measured.append(np.mean([np.sum((c / n - share) ** 2) * k for c in counts]) + bias)
        exact.append(np.sum(share * (1 - share)) * k / n + bias)
    right.loglog(1 / cells, measured, ".", color=color, label=f"n = {n}")
    right.loglog(1 / cells, exact, color=color, lw=1)
right.set(xlabel="width of a cell", ylabel="mean squared error", title="variance against bias, one dimension")
right.legend(frameon=False)
if __name__ == "__main__" and len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=120)
