"""Two data sets, three families, one language: an energy, a diffusion and a latent-variable model of each.

Run `uv run python examples/three_families.py` (needs scikit-learn). It prints a table for two moons and for the
digits of 8 x 8 pixels, and writes `three_families.png`: draws beside held-out data.
"""

import time

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import optax
from sklearn.datasets import load_digits, make_moons

import gmdsl as gm

FEW = 256  # held-out data whose log-likelihood is computed


def moons():
    x = make_moons(6000, noise=0.08, random_state=0)[0].astype("float32")
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x[:4000], x[4000:]


def digits():
    """Pixels 0 to 16 with uniform noise added, so that they have a density, on the scale of mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    x = load_digits().data[rng.permutation(1797)]
    x = x + rng.uniform(size=x.shape)
    x = ((x - x.mean()) / x.std()).astype("float32")
    return x[:1400], x[1400:]


def adam(steps, rate=2e-3):
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(rate, steps)))


def gaussian(train):
    """A Gaussian with the mean and covariance of the data: the reference that an energy tilts."""
    size = train.shape[1]
    covariance = np.cov(train.T) + 1e-2 * np.eye(size)
    normal = lambda m, c: dist.MultivariateNormal(m, c)  # noqa: E731
    return gm.joint(m=gm.data(train.mean(axis=0)), c=gm.data(covariance), x=normal)


def energy(train, test, key, steps):
    """p(x) = exp(f(x)) q(x) / Z: a network tilts a Gaussian; learned by chains, its Z found by annealing."""
    size = train.shape[1]
    reference = gaussian(train)
    model = gm.energy(gm.nets.MLP(size, width=128, depth=2, key=key), x=gm.Real(size)) * reference
    objective = gm.MaximumLikelihood(gm.MALA(0.05), steps=10, chains=256)
    fit = gm.fit(
        model, {"x": train}, objective, optimizer=adam(steps, 1e-3), steps=steps, batch_size=256, progress=False
    )
    path = gm.temper(fit.model, reference)
    tree = gm.sample(path, gm.AIS(gm.MALA(0.05), particles=2000, temperatures=200, steps=5), seed=1)
    log_density = jax.vmap(lambda x: gm.compile(fit.model).log_density({"x": x}))(test[:FEW])
    return tree, np.asarray(log_density) - tree.attrs["log_z"]


def diffusion(train, test, key, steps):
    """The score of noised data is learned, and the noise run backwards."""
    size = train.shape[1]
    family = gm.score_model(gm.VP(), gm.nets.TimeMLP(size, width=256, depth=3, key=key), x=gm.Real(size))
    settings = {"optimizer": adam(steps), "steps": steps, "batch_size": 256, "average": 0.999, "progress": False}
    fit = gm.fit(family, {"x": train}, gm.DenoisingScoreMatching(), **settings)
    tree = gm.sample(fit.model, gm.ReverseSDE(steps=400), draws=2000, seed=1, progress=False)
    return tree, gm.log_likelihood(fit.model, test[:FEW], rtol=1e-3, atol=1e-3)


def latent(train, test, key, steps, hidden):
    """A network turns hidden normal variables into data; another guesses them from the data."""
    key_decoder, key_encoder = jax.random.split(key)
    size = train.shape[1]
    decoder = gm.nets.GaussianDecoder(hidden, size, depth=3, key=key_decoder)
    encoder = gm.nets.GaussianEncoder(size, hidden, depth=3, key=key_encoder)
    model = gm.joint(z=dist.Normal(0, 1).expand([hidden]).to_event(1), x=gm.given("z", decoder))
    bound = gm.ELBO(guide=gm.given("x", encoder), particles=5, importance=True)
    fit = gm.fit(model, {"x": train}, bound, optimizer=adam(steps), steps=steps, batch_size=256, progress=False)
    tree = gm.sample_prior(fit.model, draws=2000, seed=1)
    method = gm.ImportanceSampling(1000)
    found = gm.log_marginal(fit.model, x=test[:FEW], method=method, guide=fit.learned.guide)
    return tree, np.array([z.log_z for z in found])


def compare(name, train, test, steps, hidden):
    """The table of one data set, and the draws of each family."""
    keys = jax.random.split(jax.random.key(0), 3)
    families = {
        "energy": lambda: energy(train, test, keys[0], steps["energy"]),
        "diffusion": lambda: diffusion(train, test, keys[1], steps["diffusion"]),
        "latent": lambda: latent(train, test, keys[2], steps["latent"], hidden),
    }
    baseline = gm.compile(gaussian(train))
    plain = np.asarray(jax.vmap(lambda x: baseline.log_density({"x": x}))(test[:FEW]))
    print(f"\n{name}: {train.shape[0]} data, {test.shape[0]} held out")
    print(f"{'':<12}{'MMD^2':>10}{'p':>8}{'sliced W':>10}{'log p mean':>12}{'median':>9}{'seconds':>9}")
    shown = {"held out": test}
    rows = [("train", train[:1000], None, 0.0)]
    fitted = gaussian(train).sample(jax.random.key(1), 1000)["x"]
    rows.append(("a Gaussian", np.asarray(fitted), plain, 0.0))
    for family, run in families.items():
        start = time.time()
        tree, likelihood = run()
        group = "posterior" if "posterior" in tree.children else "prior"
        draws = tree[group]["x"].values.reshape(-1, train.shape[1])
        rows.append((family, draws[:1000], likelihood, time.time() - start))
        shown[family] = draws
    for family, draws, likelihood, seconds in rows:
        found, distance = gm.mmd(draws, test[:1000]), gm.sliced_wasserstein(draws, test[:1000])
        log_p = " " * 21 if likelihood is None else f"{likelihood.mean():>12.2f}{np.median(likelihood):>9.2f}"
        print(f"{family:<12}{found.squared:>10.5f}{found.p_value:>8.3f}{distance:>10.3f}{log_p}{seconds:>9.0f}")
    return shown


def draw_picture(first, second, path):
    figure, axes = plt.subplots(2, 4, figsize=(12, 6), constrained_layout=True)
    for axis, (name, x) in zip(axes[0], first.items(), strict=True):
        axis.plot(*x[:2000].T, ".", ms=2, alpha=0.5)
        axis.set(title=name, xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
    for axis, x in zip(axes[1], second.values(), strict=True):
        framed = np.pad(x[:36].reshape(36, 8, 8), ((0, 0), (1, 1), (1, 1)), constant_values=-1.0)
        tiles = framed.reshape(6, 6, 10, 10).transpose(0, 2, 1, 3).reshape(60, 60)
        axis.imshow(tiles, cmap="gray_r", vmin=-1.0, vmax=2.0)
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110)
    print(f"\nwrote {path}")


if __name__ == "__main__":
    two = compare("two moons", *moons(), {"energy": 6000, "diffusion": 6000, "latent": 8000}, hidden=2)
    images = compare("digits", *digits(), {"energy": 2000, "diffusion": 4000, "latent": 3000}, hidden=16)
    draw_picture(two, images, "three_families.png")
