import gmdsl as gm
from gmdsl.spaces.states import joint_states, labelled, states_per_element


def test_all_states_are_listed_once_and_too_many_are_refused():
    rows = joint_states({"k": gm.Categorical(3), "b": gm.Binary(2)}, 12)
    pairs = {(int(k), *map(int, b)) for k, b in zip(rows["k"], rows["b"], strict=True)}
    assert len(pairs) == len(rows["k"]) == 12
    assert rows["b"].shape == (12, 2)
    assert joint_states({"k": gm.Categorical(3), "b": gm.Binary(2)}, 11) is None


def test_spaces_without_finitely_many_states_have_none():
    assert joint_states({"n": gm.Integer()}, 100) is None
    assert states_per_element(gm.Real()) is None


def test_spins_are_minus_one_and_plus_one():
    import numpy as np

    assert labelled(gm.Spin(2), np.array([0, 1])).tolist() == [-1, 1]
