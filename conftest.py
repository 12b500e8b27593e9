"""Every test in the repository may ask for the real servers of `tests.support.fixtures`."""

pytest_plugins = ["tests.support.fixtures"]
