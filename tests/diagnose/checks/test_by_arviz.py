import numpy as np
import xarray

from gmdsl.diagnose.checks.by_arviz import by_arviz


def tree(shift=0.0, diverging=0):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 500)) + shift * np.arange(4)[:, None]
    flags = np.zeros((4, 500), bool)
    flags[0, :diverging] = True
    groups = {"posterior": {"x": (("chain", "draw"), x)}, "sample_stats": {"diverging": (("chain", "draw"), flags)}}
    coords = {"chain": np.arange(4), "draw": np.arange(500)}
    return xarray.DataTree.from_dict({f"/{name}": xarray.Dataset(data, coords) for name, data in groups.items()})


def test_a_clean_run_has_no_complaint():
    assert (by_arviz(tree()).status, by_arviz(tree()).evidence) == ("ok", "its diagnose has no complaint")


def test_complaints_are_repeated_as_a_note():
    found = by_arviz(tree(shift=1.0, diverging=7))
    assert found.status == "note"
    assert found.evidence == "its diagnose complains of divergent, rhat"
    assert by_arviz(tree(diverging=1)).evidence == "its diagnose complains of divergent"
