"""gmdsl in the table of NUTS with the chains on two devices, which a user of a CPU makes before JAX is imported."""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import gmdsl as gm
from contenders.nuts_gmdsl import sample

CONTENDERS = {
    "chees": lambda case: sample(
        case, gm.ChEESHMC(), chains=64, draws=case["draws"], warmup=3 * case["draws"] // 10, mesh=gm.mesh()
    )
}
