"""One process of a distributed job: joins the others by `jax.distributed`, then runs the script as Python would.

`gmdsl launch --distributed` starts it, `python -m gmdsl.run.parallel.worker script.py`. Only loopback addresses are
used.
"""

import os
import pathlib
import runpy
import sys

from gmdsl.run.parallel.placement import launched


def main(arguments: list[str]) -> None:
    """Joins the job and runs the script.

    Args:
        arguments: the path of the script, then its words.
    """
    import jax

    here, address = launched(), os.environ["JAX_COORDINATOR_ADDRESS"]
    assert here is not None, "started by gmdsl launch"
    jax.distributed.initialize(
        address, here.count, here.index, cluster_detection_method="deactivate", coordinator_bind_address=address
    )
    sys.argv = arguments
    sys.path[0] = str(pathlib.Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
