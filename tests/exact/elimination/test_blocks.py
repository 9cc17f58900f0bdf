import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import logsumexp

import gmdsl as gm
from gmdsl.exact.elimination.blocks import LEAST, in_blocks, out_of_blocks
from gmdsl.spaces.discrete import Binary, Categorical, Spin


def test_variables_of_one_space_become_one():
    spaces = {f"s{i}": Spin() for i in range(LEAST)} | {"k": Categorical(3)} | {"v": Spin(2)}
    function, found = in_blocks(lambda v: v["s2"] + 10 * v["k"] + v["v"].sum(), spaces)
    assert found == {"k": Categorical(3), "v": Spin(2), "s0...": Spin(LEAST)}
    value = function({"s0...": jnp.arange(LEAST), "k": jnp.array(2), "v": jnp.array([1, 1])})
    assert int(value) == 2 + 20 + 2


def test_few_variables_stay_what_they_are():
    spaces = {f"s{i}": Binary() for i in range(LEAST - 1)}
    assert in_blocks(len, spaces) == (len, spaces)


def test_arrays_of_blocks_are_read_by_name_again():
    spaces = {f"s{i}": Spin(2) for i in range(LEAST)} | {"k": Categorical(3)}
    found = out_of_blocks({"s0...": jnp.arange(2 * LEAST).reshape(LEAST, 2), "k": jnp.array(1)}, spaces)
    assert list(found) == list(spaces)
    assert found["s2"].tolist() == [4, 5]
    assert int(found["k"]) == 1


def named_chain(length, emit=None):
    """Labels one after the other by name, with an observation of each third."""
    table = np.array([[0.8, 0.2], [0.3, 0.7]])
    nodes = {"table": gm.data(table), "k0": dist.Categorical(jnp.array([0.6, 0.4]))}
    for i in range(1, length):
        nodes[f"k{i}"] = gm.given(f"k{i - 1}", "table", lambda k, table: dist.Categorical(table[k]))
    for i in range(length):
        nodes[f"y{i}"] = gm.given(f"k{i}", lambda k, i=i: dist.Normal(2.0 * k, 1.0 + 0.1 * i))
    return gm.joint(nodes)


def seen(length):
    return {f"y{i}": 0.7 * (i % 4) - 0.3 for i in range(length)}


def forward(length):
    """The same sum by the recursion, in double precision."""
    table, logs = np.log([[0.8, 0.2], [0.3, 0.7]]), np.log([0.6, 0.4])
    for i in range(length):
        if i:
            logs = logsumexp(logs[:, None] + table, axis=0)
        s = 1.0 + 0.1 * i
        logs = logs - 0.5 * ((0.7 * (i % 4) - 0.3 - 2.0 * np.arange(2)) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi))
    return logsumexp(logs)


@pytest.mark.parametrize("length", [3, 12, LEAST + 5, 150])
@pytest.mark.parametrize("first", ["condition", "marginalize"])
def test_a_chain_of_names_is_summed_out(x64, length, first):
    hidden = [f"k{i}" for i in range(length)]
    chain = named_chain(length)
    model = (
        chain.condition(seen(length)).marginalize(*hidden)
        if first == "condition"
        else chain.marginalize(*hidden).condition(seen(length))
    )
    assert np.isclose(gm.compile(model).log_density({}), forward(length), rtol=1e-11)


def test_labels_that_nothing_reads_are_left_out_of_a_chain(x64):
    chain = named_chain(40)
    cut = chain.marginalize(*[f"y{i}" for i in range(20, 40)]).condition(seen(20))
    model = cut.marginalize(*[f"k{i}" for i in range(40)])
    assert len(model.factors) == 1
    assert np.isclose(gm.compile(model).log_density({}), forward(20), rtol=1e-11)


def test_names_of_two_kinds_are_summed_out(x64):
    """Spins on a ring, each with a label of three values; against all states."""
    count = 5
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(count, 2, 3))
    parts = [gm.energy(lambda a, b: -0.4 * a * b, a=gm.Spin(), b=gm.Spin()).rename(a=f"s{i}", b=f"s{(i + 1) % count}")
             for i in range(count)]  # fmt: skip
    parts += [
        gm.energy(lambda s, k, w: -w[(s + 1) // 2, k], s=gm.Spin(), k=gm.Categorical(3), w=gm.data(weights[i])).rename(
            s=f"s{i}", k=f"k{i}", w=f"w{i}"
        )
        for i in range(count)
    ]
    model = parts[0]
    for part in parts[1:]:
        model = model * part
    total = [
        sum(0.4 * s[i] * s[(i + 1) % count] for i in range(count))
        + sum(logsumexp(weights[i, (s[i] + 1) // 2]) for i in range(count))
        for s in itertools.product([-1, 1], repeat=count)
    ]
    assert np.isclose(gm.compile(model).log_normalizer().log_z, logsumexp(total), rtol=1e-11)


def test_smoothing_of_a_chain_of_names(x64):
    """Probabilities, most probable labels and draws of a chain of names; against all paths."""
    length = 9
    hidden = [f"k{i}" for i in range(length)]
    nodes = {"m": dist.Normal(0.0, 1.0), "k0": dist.Categorical(jnp.array([0.6, 0.4]))}
    for i in range(1, length):
        nodes[f"k{i}"] = gm.given(f"k{i - 1}", lambda k: dist.Bernoulli(0.2 + 0.5 * k))
    for i in range(length):
        nodes[f"y{i}"] = gm.given("m", f"k{i}", lambda m, k: dist.Normal(m + 2.0 * k, 1.0))
    model = gm.joint(nodes).condition(seen(length)).marginalize(*hidden)
    tree = gm.sample(model, gm.NUTS(), draws=3, warmup=20, chains=1, progress=False)
    found = gm.recover(tree, model)["recovered"]
    m = float(tree["posterior"]["m"][0, 2])
    paths = np.array(list(itertools.product([0, 1], repeat=length)))
    p = np.where(paths[:, 1:] == 1, 0.2 + 0.5 * paths[:, :-1], 0.8 - 0.5 * paths[:, :-1])
    logs = np.log(np.where(paths[:, 0] == 0, 0.6, 0.4)) + np.log(p).sum(1)
    logs += (-0.5 * (np.array(list(seen(length).values())) - m - 2.0 * paths) ** 2).sum(1)
    chance = np.exp(logs - logsumexp(logs))
    for i, name in enumerate(hidden):
        expected = chance[paths[:, i] == 1].sum()
        assert np.isclose(float(found[f"{name}_probability"][0, 2, 1]), expected, rtol=1e-9), name
        assert int(found[f"{name}_most_probable"][0, 2]) == paths[np.argmax(chance), i]
        assert int(found[name][0, 2]) in (0, 1)
