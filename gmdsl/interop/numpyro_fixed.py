"""Arguments of a NumPyro model function that are no data of the model: why, and how they become data."""

from collections.abc import Mapping
from typing import Any

from gmdsl.core.pytrees.function import Constant
from gmdsl.core.pytrees.reads import ARRAYS


def why_fixed(label: str, arguments: Mapping[str, Any], name: str) -> str:
    """What a user is told who gives other values to an argument that is fixed; empty where there is none of the name.

    Args:
        label: the name of the function.
        arguments: the fixed arguments by name.
        name: an argument, or a key of one that is a dict.
    """
    if name not in arguments:
        inside = [argument for argument, value in arguments.items() if isinstance(value, Mapping) and name in value]
        return f"{name} is inside of {_of_dict(label, inside[0], arguments[inside[0]])}" if inside else ""
    held = arguments[name]
    if not isinstance(held, Constant):
        return f"{name} is {_of_dict(label, name, held)}"
    value = held()
    if isinstance(value, ARRAYS):
        return (
            f"{label} reads {name} as a NumPy array (as np.unique does), so it is fixed at its values. Read it by"
            " jax.numpy alone, and give sizes, such as the number of groups, as arguments of their own."
        )
    if isinstance(value, int | float):
        return (
            f"{name} was given as the fixed Python value {value!r}. To change it, declare the model with an array,"
            f" from_numpyro_model({label}, ..., {name}=np.asarray({value!r}))."
        )
    kind = "None" if value is None else f"a {type(value).__name__}"
    return f"{name} was given as {kind}, which is fixed. To change it, declare the model with an array in its place."


def _of_dict(label: str, argument: str, value: Any) -> str:
    """A dict argument, and the function of its arrays to declare in its place."""
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}, which is fixed as a whole. Give its arrays as arguments of their own."
    keys = [str(key) for key in value]
    inner = ", ".join(f"{key!r}: {key}" for key in keys)
    return (
        f"the dict argument {argument} of {label}, which is fixed as a whole. Give its arrays as arguments of their"
        f" own: from_numpyro_model(lambda {', '.join(keys)}: {label}({{{inner}}}), ...)."
    )
