"""Every test in the repository may ask for the real servers of `tests.support.fixtures`; and no time decides a property
test, neither that of an example nor that of making one."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.fixtures"]

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
