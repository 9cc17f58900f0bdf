import datetime

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import gmdsl as gm

DAYS = ["2020-01-01", "2020-01-02"]


def labelled(labels):
    return gm.joint(
        mu=dist.Normal(0.0, 1.0),
        y=lambda mu: dist.Normal(mu, 1.0).expand([2]),
        dims={"y": ["day"]},
        coords={"day": labels},
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(DAYS, "datetime64[D]"),
        np.array(DAYS, "datetime64[ns]"),
        pd.date_range("2020-01-01", periods=2),
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
        [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)],
    ],
)
def test_times_are_labels_in_memory_and_on_disk(labels, tmp_path):
    model = labelled(labels).condition(y=[0.0, 1.0])
    settings = {"chains": 1, "draws": 5, "warmup": 5, "progress": False}
    for given in ({}, {"store": tmp_path / "run.zarr"}):
        tree = gm.sample(model, gm.NUTS(), **settings, **given)
        found = tree["observed_data"]["day"].values.astype("datetime64[D]")
        np.testing.assert_array_equal(found, np.array(DAYS, "datetime64[D]"))


def test_labels_of_a_dimension_that_is_not_there_are_refused():
    with pytest.raises(gm.SpecError, match=r"there is no 'days'; the dimensions are day. Did you mean 'day'"):
        gm.joint(y=dist.Normal(0.0, 1.0).expand([2]), dims={"y": ["day"]}, coords={"days": ["a", "b"]})
    with pytest.raises(gm.SpecError, match=r"there is no 'day'.*dims={'y': \['day'\]}"):
        gm.joint(y=dist.Normal(0.0, 1.0).expand([2]), coords={"day": ["a", "b"]})
    unnamed = gm.joint(y=dist.Normal(0.0, 1.0).expand([2]), coords={"y_dim_0": ["a", "b"]})
    assert gm.sample_prior(unnamed, draws=3)["prior"]["y_dim_0"].values.tolist() == ["a", "b"]


def test_labels_that_no_file_holds_are_refused():
    with pytest.raises(gm.SpecError, match=r"label 1 is None \(NoneType\)"):
        labelled(["a", None])
    with pytest.raises(gm.SpecError, match=r"label 1 is no time \(NaT\)"):
        labelled(np.array(["2020-01-01", "NaT"], "datetime64[D]"))
