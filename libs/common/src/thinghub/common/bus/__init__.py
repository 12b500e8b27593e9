"""The bus: `open_bus` gives the adapter that a URL names; `port` says what it promises."""

from thinghub.common.bus.kafka import KafkaBus
from thinghub.common.bus.port import Bus
from thinghub.common.bus.streams import StreamsBus
from thinghub.common.runtime import Runtime


async def open_bus(url: str, prefix: str, runtime: Runtime) -> Bus:
    """`kafka://host:port,host:port` or `streams+` before a Redis URL (`streams+unix:///path`, `streams+redis://h:p/0`).

    `prefix` goes before every topic and group name. Connects when first used: it does not raise because the bus is
    away, but raises ValueError for a URL of another kind.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "kafka":
        return KafkaBus(rest.rstrip("/").split(","), prefix, runtime.log)
    if scheme.startswith("streams+"):
        return StreamsBus(url.removeprefix("streams+"), prefix, runtime.log)
    raise ValueError(f"a bus URL begins with kafka:// or streams+redis://, not {scheme}://")
