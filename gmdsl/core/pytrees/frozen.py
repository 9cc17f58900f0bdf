"""What is called, or held, and never learned."""

from typing import Any

import equinox as eqx


class Frozen(eqx.Module):
    """A module that is called as before and never learned; or arrays of one."""

    module: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)
