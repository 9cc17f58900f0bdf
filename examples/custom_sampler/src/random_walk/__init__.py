"""A random-walk Metropolis sampler for gmdsl."""

from random_walk.sampler import RandomWalk

__all__ = ["RandomWalk"]
