"""Which chains of a run are this process's: the same script runs in several processes, each makes its share.

Share i of n has the chains from floor(i c / n) to floor((i + 1) c / n) of c. The key of a chain depends on its number
in the whole run, so a chain is the same whoever makes it. Processes know each other by `jax.distributed`, or by
`gmdsl launch`, which tells each its place in the environment variable `GMDSL_PROCESS=i/n`; it is read here only.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError

VARIABLE = "GMDSL_PROCESS"
FOREVER = 10**9  # milliseconds


@dataclass(frozen=True)
class Share:
    """One of `count` parts of the chains of a run.

    Attributes:
        index: which, from 0.
        count: how many parts there are.

    >>> [Share(i, 3).of(8) for i in range(3)]
    [range(0, 2), range(2, 5), range(5, 8)]
    """

    index: int = 0
    count: int = 1

    def of(self, chains: int) -> range:
        """Numbers of its chains."""
        return range(self.index * chains // self.count, (self.index + 1) * chains // self.count)


WHOLE = Share()


@dataclass(frozen=True)
class Place:
    """This process among those that run the same script.

    Attributes:
        index: which, from 0.
        count: how many there are.
        launched: whether `gmdsl launch` started it, so that a run that is there already goes on.
        joined: whether JAX connects the processes, so that one mesh has the devices of all.
    """

    index: int = 0
    count: int = 1
    launched: bool = False
    joined: bool = False

    @property
    def share(self) -> Share:
        """The share of the chains that is this process's."""
        return Share(self.index, self.count)

    def meet(self) -> None:
        """Waits for the other processes of `jax.distributed`, for as long as they live.

        A collective of JAX would give up after half a minute, and one process may be done long before another.
        """
        if self.joined:
            from jax._src import distributed

            client: Any = distributed.global_state.client
            client.wait_at_barrier("gmdsl", FOREVER)

    def agree(self, text: str) -> None:
        """Waits for the other processes of `jax.distributed`, and checks that they do the same.

        Args:
            text: what this process is about to do.

        Raises:
            SpecError: another one gave another text.
        """
        if not self.joined:
            return
        self.meet()
        from jax.experimental.multihost_utils import process_allgather

        digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)
        if (process_allgather(digest).reshape(-1, digest.size) != digest).any():
            raise SpecError(
                "sample(...): the processes were given different stores, models, samplers or settings."
                " Run the same script, with the same arguments, in each."
            )


ALONE = Place()


def place(mesh: Any = None) -> Place:
    """Where this process stands.

    Args:
        mesh: devices that share the chains, of this process or of several.

    Raises:
        SpecError: the environment variable is malformed, or no device of the mesh belongs to this process.
    """
    import jax

    here = launched()
    if here is not None:
        return Place(here.index, here.count, launched=True, joined=jax.process_count() > 1)
    if not hasattr(mesh, "devices"):
        return Place(jax.process_index(), jax.process_count(), joined=jax.process_count() > 1)
    processes = sorted({device.process_index for device in mesh.devices.flat})
    if jax.process_index() not in processes:
        raise SpecError(
            f"sample(mesh=...): none of its devices belongs to process {jax.process_index()}. Use gm.mesh(), all"
            " devices of all processes."
        )
    return Place(processes.index(jax.process_index()), len(processes), joined=len(processes) > 1)


def launched() -> Share | None:
    """The place that `gmdsl launch` gave to this process; None when it was started otherwise.

    Raises:
        SpecError: the environment variable is not of the form i/n.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return None
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise SpecError(f"{VARIABLE}={text!r}: the form is i/n, such as 0/2. Unset it, or use gmdsl launch.")
    return Share(int(index), int(count))
