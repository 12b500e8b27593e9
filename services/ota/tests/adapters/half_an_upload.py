"""Uploads until it is killed: python half_an_upload.py PACKAGES_URL. Says `half` once parts are in the store."""

import asyncio
import sys
from collections.abc import AsyncIterator

from tests.support.s3_server import KEY_ID, SECRET
from thinghub.common.settings import load
from thinghub.ota.app import packages_at
from thinghub.ota.settings import Settings

KEY = f"ota/{'e' * 32}.bin"


async def endless() -> AsyncIterator[bytes]:
    for number in range(1_000):
        yield bytes(1 << 20)
        if number == 23:
            print("half", flush=True)
        if number > 23:
            await asyncio.sleep(1)


async def main(url: str) -> None:
    secret = {"s3_access_key_id": KEY_ID, "s3_secret_access_key": SECRET}
    packages = packages_at(load(Settings, packages_url=url, **secret))
    await packages.prepare()
    await packages.put(KEY, endless())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
