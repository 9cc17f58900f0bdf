"""A tree and its model in one call: either may come first."""

from typing import Any


def tree_and_model(first: Any, second: Any) -> tuple[Any, Any]:
    """The two in this order, whichever way round they were given; anything else is left as it is.

    >>> import xarray
    >>> tree = xarray.DataTree()
    >>> tree_and_model("model", tree)[1]
    'model'
    """
    return (second, first) if is_tree(second) and not is_tree(first) else (first, second)


def is_tree(value: Any) -> bool:
    """Whether a value is a tree of results."""
    return hasattr(value, "children") and hasattr(value, "to_dataset")
