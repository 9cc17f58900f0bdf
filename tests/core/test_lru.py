from gmdsl.core.lru import LRU


def test_the_entry_that_was_used_longest_ago_is_forgotten():
    kept = LRU(3)
    for key in "abc":
        assert kept.put(key, key.upper()) == key.upper()
    assert kept.get("a") == "A"
    kept.put("b", "again")
    kept.put("d", "D")
    assert [kept.get(key) for key in "abcd"] == ["A", "again", None, "D"]
    assert len(kept.entries) == 3


def test_a_value_that_is_put_again_is_replaced():
    kept = LRU(2)
    kept.put(1, "old")
    kept.put(1, "new")
    assert kept.get(1) == "new"
    assert len(kept.entries) == 1
