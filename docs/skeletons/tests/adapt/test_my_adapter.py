import jax

import gmdsl as gm


class Walk(gm.Sampler):
    step_size: float = 20.0
    adapts = gm.adapt.MyAdapter(target_accept=0.3)

    def step(self, key, target, state):
        key_move, key_accept = jax.random.split(key)
        proposal = state + self.step_size * jax.random.normal(key_move, state.shape)
        return gm.metropolis(key_accept, state, proposal, target.log_density(proposal) - target.log_density(state))


def test_the_acceptance_rate_is_what_was_asked_for():
    bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(3))
    tree = gm.sample(bowl, Walk(), warmup=2000, draws=2000, progress=False)
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.3) < 0.05
