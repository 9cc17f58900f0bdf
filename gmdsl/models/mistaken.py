"""What was given where a model is needed, in words for messages."""

from typing import Any

from gmdsl.models.model import Model


def mistaken(given: Any) -> str:
    """The kind of a thing that is no model, and the model that it holds.

    >>> import gmdsl as gm
    >>> mistaken(3.0), mistaken(gm.NUTS)
    ('float', 'the class NUTS')
    >>> mistaken(gm.energies.ring())
    'KnownTarget; its model is .model'
    """
    if isinstance(given, type):
        return f"the class {given.__name__}"
    held = getattr(given, "model", None)
    return f"{type(given).__name__}; its model is .model" if isinstance(held, Model) else type(given).__name__
