import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm


def net(size=2):
    return gm.nets.TimeMLP(size, width=8, key=jax.random.key(0))


def test_the_network_is_read_by_the_prediction(x64):
    """D = c_skip x + c_out F(c_in x, level), equation 7 of Karras et al., for VP with data of scale 2."""
    process, network, x, t = gm.VP(), net(), np.array([0.4, -1.0]), 0.3
    family = gm.score_model(process, network, prediction=gm.Preconditioned(2.0), x=gm.Real(2))
    alpha, sigma = process.alpha(t), process.sigma(t)
    total = np.sqrt(4.0 * alpha**2 + sigma**2)
    residual = network(x / total, process.level(t))
    exact = 4.0 * alpha / total**2 * x + 2.0 * sigma / total * residual
    np.testing.assert_allclose(family.denoise(x, t), exact, rtol=1e-9)
    np.testing.assert_allclose(family.score(x, t), (alpha * exact - x) / sigma**2, rtol=1e-9)
    assert family.capabilities().score == "learned"


def test_what_it_means_is_scale_one_unless_said():
    family = gm.score_model(gm.VP(), net(), x=gm.Real(2))
    assert family.denoiser.prediction == gm.Preconditioned(1.0)
    assert family.spaces == {"x": gm.Real(2)}


def test_images_keep_their_shape():
    """The score of an image is that of its numbers in a row, by a network with the same weights."""
    image = np.arange(6.0).reshape(3, 2) / 6
    found = gm.score_model(gm.VE(), net((3, 2)), x=gm.Real(3, 2)).score(image, 0.5)
    flat = gm.score_model(gm.VE(), net(6), x=gm.Real(6)).score(image.reshape(-1), 0.5)
    np.testing.assert_allclose(found, flat.reshape(3, 2), rtol=1e-5)


def test_a_plain_function_is_a_network_by_the_order_of_its_arguments():
    family = gm.score_model(gm.VP(), lambda a, b: a * b, prediction=gm.PredictScore(), x=gm.Real())
    assert float(family.score(3.0, 0.5)) == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize(
    ("network", "variables", "text"),
    [
        (net(), {}, r"no variable was declared. Name one with its space, as in x=gm.Real\(2\)"),
        (net(), {"x": gm.Positive(2)}, r"score_model\(x=Positive\(2\)\): noise is added to real variables"),
        (net(), {"x": 2}, r"score_model\(x=int\)"),
        (net(), {"x": gm.Real}, r"score_model\(x=.*real variables"),
        (net(3), {"x": gm.Real(2)}, r"network\(x, t\) fails for one point"),
        (lambda x, t: x[0], {"x": gm.Real(2)}, r"returns shape \(\), but x has \(2,\). Return that"),
        (lambda x, t: x, {"x": gm.Real(2), "y": gm.Real()}, None),
        (lambda x, t: {"x": x["y"], "y": x["y"]}, {"x": gm.Real(2), "y": gm.Real()}, r"returns shape .*Return that"),
        (lambda x, t: {"x": x["x"]}, {"x": gm.Real(2), "y": gm.Real()}, r"returns shape .*Return that"),
        (lambda x: x, {"x": gm.Real(2)}, "fails for one point|network"),
        ("net", {"x": gm.Real(2)}, r"score_model\(..., str\): a network is called as network\(x, t\)"),
    ],
)
def test_what_cannot_be_a_score_model_is_refused_where_it_is_declared(network, variables, text):
    if text is None:
        assert gm.score_model(gm.VP(), network, **variables).free == ("x", "y")
        return
    with pytest.raises(gm.SpecError, match=text):
        gm.score_model(gm.VP(), network, **variables)


def test_the_process_comes_first():
    with pytest.raises(gm.SpecError, match="score_model.*a process is needed first, such as gm.VE"):
        gm.score_model(net(), gm.VP(), x=gm.Real(2))


def test_the_weights_of_the_network_are_what_is_learned():
    from gmdsl.learning.learnable import learnable

    network = net()
    family = gm.score_model(gm.VP(), network, x=gm.Real(2))
    marked = zip(jax.tree.leaves(family), jax.tree.leaves(learnable(family)), strict=True)
    moving = [leaf for leaf, mark in marked if mark]
    sizes = sorted(leaf.size for leaf in moving)
    assert sizes == sorted(leaf.size for leaf in jax.tree.leaves(network) if isinstance(leaf, jax.Array))
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in moving)
