"""`gmdsl demo`: two models on real data, from declaration to pictures.

Eight schools (Rubin, 1981) in its non-centred form, and a logistic regression on scikit-learn's
breast-cancer measurements.
"""

import pathlib
import time
from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.diagnose.check import check
from gmdsl.graph.nodes import data
from gmdsl.inference.sampler import Sampler
from gmdsl.models.declare.joint import joint
from gmdsl.models.model import Model
from gmdsl.models.render import render
from gmdsl.run.predictive.predict import predict
from gmdsl.run.sample import sample
from gmdsl.samplers.nuts import NUTS

SCHOOLS = ("Choate", "Deerfield", "Andover", "Exeter", "Hotchkiss", "Lawrenceville", "St. Paul's", "Mt. Hermon")
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


def eight_schools() -> Model:
    """Effects of coaching in eight schools, non-centred, observed.

    Reference:
        Rubin, *Estimation in parallel randomized experiments*, 1981; Gelman et al., *Bayesian Data
        Analysis*, section 5.5.
    """
    import numpyro.distributions as dist

    model = joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        z=dist.Normal(0.0, 1.0).expand([8]),
        theta=lambda mu, tau, z: mu + tau * z,
        sigma=data(ERRORS),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        dims={"z": ["school"], "theta": ["school"], "sigma": ["school"], "y": ["school"]},
        coords={"school": SCHOOLS},
    )
    return model.condition(y=EFFECTS)


def logistic_regression() -> Model:
    """Malignant or benign from thirty standardised measurements of 569 tumours, observed.

    Raises:
        SpecError: scikit-learn, which brings the data, is not installed.
    """
    import numpyro.distributions as dist

    try:
        from sklearn.datasets import load_breast_cancer
    except ModuleNotFoundError as error:
        raise SpecError("demo: the breast-cancer data come with scikit-learn. Run pip install scikit-learn.") from error
    source = load_breast_cancer()
    standardised = (source.data - source.data.mean(axis=0)) / source.data.std(axis=0)
    model = joint(
        intercept=dist.Normal(0.0, 2.5),
        beta=dist.Normal(0.0, 1.0).expand([30]),
        measurements=data(standardised),
        benign=lambda intercept, beta, measurements: dist.Bernoulli(logits=intercept + measurements @ beta),
        dims={"beta": ["feature"], "measurements": ["tumour", "feature"], "benign": ["tumour"]},
        coords={"feature": [str(name) for name in source.feature_names]},
    )
    return model.condition(benign=source.target)


def demo(folder: Any = "gmdsl-demo", *, draws: int = 1000, warmup: int = 1000, progress: bool = True) -> pathlib.Path:
    """Runs both models, prints what a user looks at, writes runs (zarr) and pictures.

    Args:
        folder: where to write; made when missing.
        draws: draws per chain.
        warmup: warm-up draws per chain.
        progress: whether to show progress bars.

    Returns:
        The folder.

    Raises:
        KeyboardInterrupt: Ctrl-C ended a run.
    """
    path = pathlib.Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for name, model, shown in (
        ("eight_schools", eight_schools(), ["mu", "tau", "theta"]),
        ("breast_cancer", logistic_regression(), ["intercept", "beta"]),
    ):
        _title(name.replace("_", " "))
        print(model, "\n")
        _one(path / name, model, NUTS(), shown, draws, warmup, progress)
    print(f"\nWrote {path}/: the runs (*.zarr; read them by xarray.open_datatree) and pictures (*.png, *.svg).")
    return path


def _one(
    path: pathlib.Path, model: Model, sampler: Sampler, shown: list[str], draws: int, warmup: int, progress: bool
) -> None:
    began = time.perf_counter()
    tree = sample(model, sampler, draws=draws, warmup=warmup, seed=0, progress=progress, log_likelihood=True)
    if tree.attrs["interrupted"]:
        raise KeyboardInterrupt("demo: interrupted, so the draws that were asked for are not there")
    tree = predict(tree, model)
    seconds = time.perf_counter() - began
    import arviz

    print(arviz.summary(tree, var_names=shown).to_string(), "\n")
    print(check(tree), "\n")
    print(_accuracy(tree, model))
    print(f"4 chains of {warmup} + {draws} draws in {seconds:.1f} s on {jax.default_backend()}, compilation included")
    render(model, path.with_name(path.name + "_graph.svg"))
    render(model, path.with_name(path.name + "_graph.png"))
    few = {"beta": slice(0, 3)} if "beta" in shown else {}
    for kind, plot in (("trace", arviz.plot_trace_dist), ("rank", arviz.plot_rank)):
        selection = {"feature": tree["posterior"]["feature"].values[few["beta"]]} if few else None
        collection = plot(tree, var_names=shown, coords=selection) if selection else plot(tree, var_names=shown)
        collection.savefig(path.with_name(f"{path.name}_{kind}.png"))
    save(tree, path.with_suffix(".zarr"))


def save(tree: Any, path: pathlib.Path) -> None:
    """Writes a tree to a zarr store, in place of one that is there."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated.*|.*Zarr V3.*|.*zarr.*")
        tree.to_zarr(path, mode="w", consolidated=False)


def _accuracy(tree: Any, model: Model) -> str:
    """How close replicated data are to the observed ones: a first posterior predictive look."""
    name, observed = next(iter(model.observed.items()))
    drawn = np.asarray(tree["posterior_predictive"][name])
    mean, sd = drawn.mean(axis=(0, 1)), drawn.std(axis=(0, 1))
    if model.spaces[name].discrete:
        return f"posterior predictive: {100 * np.mean(np.round(mean) == observed):.1f} % of {name} predicted right"
    inside = np.mean(np.abs(mean - observed) <= 2.0 * sd)
    return f"posterior predictive: {100 * inside:.0f} % of {name} within two sd of its replications"


def _title(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}")
