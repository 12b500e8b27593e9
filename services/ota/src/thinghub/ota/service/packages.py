"""What a device is told of a firmware."""

from thinghub.device_protocol.ota import Package
from thinghub.ota.domain.models import DIFFERENCE, Firmware
from thinghub.ota.service.firmware import Store


class Offers:
    """`base` is how devices reach the package port; it is known once the port is bound."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.base = ""

    async def of(self, firmware: Firmware) -> Package:
        """With a URL made now, so that whoever is told again gets one that holds the whole time."""
        return Package(
            url=await self._store.download_url(self.base, firmware.key),
            size=firmware.size,
            version=firmware.dest_version,
            md5=firmware.md5,
            sign=firmware.sign,
            sign_method=firmware.sign_method,
            module=firmware.module,
            difference=firmware.type == DIFFERENCE,
            udi=firmware.udi,
        )

    def plain_url(self, key: str) -> str:
        """The package's name for the API; it opens nothing."""
        return f"{self.base}/{key}"
