import numpy as np
import pytest
from scipy.sparse import csr_array

from gmdsl.exact.conditionals.colouring import colouring


def torus(*shape):
    places = np.arange(np.prod(shape)).reshape(shape)
    first = np.concatenate([places.ravel()] * len(shape))
    second = np.concatenate([np.roll(places, 1, axis).ravel() for axis in range(len(shape))])
    half = csr_array((np.ones(len(first), bool), (first, second)), (places.size,) * 2)
    return csr_array(half + half.T)


def is_proper(pairs, colours):
    colour = np.zeros(pairs.shape[0], int)
    for number, group in enumerate(colours):
        colour[group] = number
    first = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    apart = first != pairs.indices
    return sorted(np.concatenate(colours)) == list(range(len(colour))) and bool(
        (colour[first] != colour[pairs.indices])[apart].all()
    )


@pytest.mark.parametrize(("shape", "count"), [((64, 64), 2), ((6, 4, 8), 2), ((5, 5), 3), ((7, 7), 3), ((9,), 3)])
def test_tori_take_two_colours_where_their_sides_are_even_and_three_else(shape, count):
    pairs = torus(*shape)
    colours = colouring(pairs)
    assert len(colours) == count
    assert is_proper(pairs, colours)


def test_any_graph_is_coloured_with_at_most_one_colour_more_than_the_most_neighbours():
    rng = np.random.default_rng(1)
    half = np.triu(rng.random((60, 60)) < 0.2, 1)
    pairs = csr_array(half | half.T | np.eye(60, dtype=bool))
    colours = colouring(pairs)
    assert is_proper(pairs, colours)
    assert len(colours) <= (half | half.T).sum(1).max() + 1
    assert len(colours) <= len(colouring(pairs, tries=0))


def test_variables_without_neighbours_share_a_colour():
    assert [len(group) for group in colouring(csr_array((50, 50), dtype=bool))] == [50]


def test_two_layers_take_two_colours():
    half = np.zeros((30, 30), bool)
    half[:18, 18:] = True
    assert [group.tolist() for group in colouring(csr_array(half | half.T))] == [list(range(18)), list(range(18, 30))]
