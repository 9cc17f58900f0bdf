"""A text for a fingerprint that is the same in every process.

Fingerprints (`gmdsl.core.pytrees.function`) tell apart classes of one name by their identity, which is another number
in each process, and hold sets and the settings of distributions in an order that Python draws anew. A digest leaves out
the first and sorts the second.
"""

from typing import Any

_NAMED = ("enum", "tree", "fields", "class", "instance", "object")  # followed by a name and an identity


def stable_text(key: Any) -> str:
    """The text of a fingerprint without identities, sets sorted.

    >>> stable_text(("object", "Clock", 140201)), stable_text(frozenset({"b", "a"}))
    ('(object Clock)', "{'a' 'b'}")
    """
    if isinstance(key, frozenset):
        return "{" + " ".join(sorted(map(stable_text, key))) + "}"
    if not isinstance(key, tuple):
        return repr(key)
    if key and isinstance(key[0], str) and key[0] in _NAMED:
        rest = [stable_text(part) for part in key[3:]]
        if key[0] == "tree":
            rest = [
                " ".join(sorted(map(stable_text, part))) if isinstance(part, tuple) else repr(part) for part in key[3:]
            ]
        return f"({' '.join([key[0], str(key[1]), *rest])})"
    if key and key[0] == "function":
        key = key[:-1]  # the identity of the globals of a function whose reads are unknown
    return f"({' '.join(map(stable_text, key))})"
