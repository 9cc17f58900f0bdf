import importlib.metadata

from gmdsl.core.runtime.version import version


def test_the_version_is_that_of_the_installed_package():
    assert version() == importlib.metadata.version("gmdsl")


def test_sources_that_are_not_installed_can_still_mark_their_draws(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert version.__wrapped__() == "unknown"
