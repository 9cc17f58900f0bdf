import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks import sampler_stats
from gmdsl.inference.stats import EVENTS, FLAG, REAL, SCHEMA, WHOLE
from gmdsl.run.chains.contract import checked

EXAMPLES = {REAL: jnp.float32(0.5), WHOLE: jnp.int32(2), FLAG: jnp.asarray(True)}


class Still(gm.Sampler):
    def step(self, key, target, x):
        return x, {}


@pytest.mark.parametrize("name", SCHEMA)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_stat_of_the_schema_is_one_number_of_its_kind(name, kind):
    state, value = jnp.zeros(2), EXAMPLES[kind]
    if kind == SCHEMA[name]:
        assert checked(Still(), state, (state, {name: value})) == (state, {name: value})
        with pytest.raises(gm.SpecError, match=rf"the stat '{name}' is an array of shape \(3,\)"):
            checked(Still(), state, (state, {name: jnp.stack([value] * 3)}))
    else:
        with pytest.raises(gm.SpecError, match=rf"the stat '{name}' is a {kind}; .* one {SCHEMA[name]} per draw"):
            checked(Still(), state, (state, {name: value}))


def test_events_are_flags_of_the_schema_and_what_the_samplers_report_is_of_its_kinds():
    assert {SCHEMA[event] for event in EVENTS} == {FLAG}
    tree = gm.sample(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2)), gm.NUTS(), draws=5, warmup=20, progress=False)
    stats = tree["sample_stats"]
    assert set(EVENTS) <= set(stats.data_vars) <= set(SCHEMA)
    kinds = {"f": REAL, "i": WHOLE, "b": FLAG}
    assert {name: kinds[array.dtype.kind] for name, array in stats.data_vars.items()} == {n: SCHEMA[n] for n in stats}


@pytest.mark.parametrize("event", ["diverging", "nan_evaluations"])
def test_one_event_in_a_thousand_is_rare_and_two_are_not(event):
    found = []
    for count in (1, 2):
        happened = np.zeros((1, 1000), bool)
        happened[0, :count] = True
        stats = xarray.Dataset({event: (("chain", "draw"), happened)})
        judge = sampler_stats.divergences if event == "diverging" else sampler_stats.nan_evaluations
        found.append(judge(stats).status)
    assert found == ["note", "suspect"]
