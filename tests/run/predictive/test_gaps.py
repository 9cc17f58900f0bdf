import arviz as az
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.run.predictive.gaps import without_gaps

Y = np.array([[0.3, np.nan, 0.8], [np.nan, 1.9, 0.4]])


def model():
    return gm.joint(
        m=dist.Normal(0.0, 2.0),
        y=lambda m: dist.Normal(m, 1.0).expand([2, 3]),
        w=lambda m: dist.Normal(m, 1.0).expand([2]),
        dims={"y": ["place"], "w": ["place"]},
        coords={"place": ["north", "south"]},
    ).condition(y=Y, w=[np.nan, 0.2], missing="marginalise")


def test_only_observed_elements_are_scored_and_labelled():
    tree = gm.sample(model(), gm.NUTS(), chains=2, draws=300, warmup=200, progress=False)
    scored = gm.log_likelihood(model(), tree)
    found = scored["log_likelihood"]
    m = tree["posterior"]["m"].values[..., None]
    np.testing.assert_allclose(found["y"], -0.5 * (Y[~np.isnan(Y)] - m) ** 2 - 0.5 * np.log(2 * np.pi), rtol=1e-5)
    assert found["y"].dims == ("chain", "draw", "y_observed")
    assert found["y_observed"].values.tolist() == [0, 2, 4, 5]
    assert found["y_place"].values.tolist() == ["north", "north", "south", "south"]
    assert found["y_dim_1"].values.tolist() == [0, 2, 1, 2]
    assert found["w_place"].values.tolist() == ["south"]
    assert az.loo(scored, var_name="y").n_data_points == 4
    np.testing.assert_array_equal(tree["observed_data"]["y"], Y)


def test_vectors_count_when_a_part_of_them_was_seen():
    y = np.array([[0.3, np.nan], [np.nan, np.nan], [1.0, 2.0]])
    vectors = gm.joint(y=dist.MultivariateNormal(np.zeros(2), np.eye(2)).expand([3]), dims={"y": ["row", "axis"]})
    known = vectors.condition(y=y, missing="marginalise")
    _, kept, labels = without_gaps(known, {"y": np.arange(6.0).reshape(1, 2, 3)})
    assert kept["y"].tolist() == [[[0.0, 2.0], [3.0, 5.0]]]
    assert labels["y_row"][1].tolist() == [0, 2]


def test_without_gaps_nothing_changes():
    plain = gm.joint(y=dist.Normal(0, 1).expand([2])).condition(y=[0.0, 1.0])
    scores = {"y": np.zeros((1, 2, 2))}
    assert without_gaps(plain, scores) == (plain, scores, {})
