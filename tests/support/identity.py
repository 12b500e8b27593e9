"""A device's identity and the public signature (device-mqtt §1), written from the reference alone.

Tests sign with this, not with the product's own code, so that both must agree with the contract.
"""

import hashlib
import hmac
from dataclasses import dataclass

DIGESTS = {"hmacmd5": hashlib.md5, "hmacsha1": hashlib.sha1, "hmacsha256": hashlib.sha256}


@dataclass(frozen=True)
class Login:
    client_id: str
    username: str
    password: str


@dataclass(frozen=True)
class Identity:
    product_key: str
    device_name: str
    device_secret: str

    def topic(self, short: str) -> str:
        """Full custom topic below `user/`."""
        return f"/{self.product_key}/{self.device_name}/user/{short}"

    def login(
        self, method: str = "hmacsha256", ext: int = 0, securemode: int = 3, timestamp: str = "1700000000000"
    ) -> Login:
        client = f"{self.product_key}.{self.device_name}"
        content = f"clientId{client}deviceName{self.device_name}productKey{self.product_key}timestamp{timestamp}"
        password = hmac.new(self.device_secret.encode(), content.encode(), DIGESTS[method]).hexdigest()
        flags = f"securemode={securemode},signmethod={method},timestamp={timestamp},ext={ext},_ss=1,lan=Python,_v=1.0"
        return Login(f"{client}|{flags}|", f"{self.device_name}&{self.product_key}", password)
