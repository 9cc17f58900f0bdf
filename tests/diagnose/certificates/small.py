"""Trials of a size for tests: one or two targets, a thousand chains."""

from gmdsl.diagnose.certificates.trials import Size, trials_of

SIZE = Size(chains=1024, steps=96, warmup=300, blocks=8)


def small(sampler, *makers, seed=0):
    return trials_of(sampler, tuple(make() for make in makers), SIZE, seed)
