"""What passes through the services and must never be read in their logs."""

import json
import secrets
from urllib.parse import quote

import pytest

from tests.conftest import PLATFORM_PASSWORD
from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.device import Refused
from tests.support.identity import DIGESTS, Identity
from tests.support.openapi import ApiRefused, Key
from tests.support.platform import Platform
from tests.support.postgres_server import with_password
from tests.support.processes import Processes
from tests.support.s3_server import SECRET


async def test_no_log_of_any_service_has_a_secret(processes: Processes) -> None:
    platform = processes
    hidden: dict[str, str] = {
        "the master key": platform.master_key,
        "the first access key's secret": platform.key.access_key_secret,
        "the platform's database password": PLATFORM_PASSWORD,
        "the S3 store's secret key": SECRET,
    }
    try:
        hidden |= await devices(platform)
        hidden |= await callers(platform)
        hidden |= await sinks(platform)
    finally:
        await platform.close_apis()
    for name, service in platform.services.items():
        log = service.log
        assert log, f"{name} logged nothing"
        for what, value in hidden.items():
            assert len(value) >= 12, what
            for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]):
                assert form not in log, f"{what} is in the log of {name}"


async def devices(platform: Platform) -> dict[str, str]:
    """A right connect, a wrong password, an unknown device; with every digest."""
    api = platform.api()
    product_key = await new_product(api)
    identity = await new_device(api, product_key)
    wrong = Identity(product_key, identity.device_name, secrets.token_hex(16))
    unknown = Identity(product_key, "nobody", secrets.token_hex(16))
    for stranger in (wrong, unknown):
        with pytest.raises(Refused):
            await connected(platform, stranger)
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b"not json")
    given = {"DeviceSecret": secrets.token_hex(16), "ProductKey": product_key, "DeviceName": "imported"}
    assert (await api.rest("POST", "/v1/import/devices", json=given)).status_code == 201
    assert (await api.rest("POST", "/v1/import/devices", json=given)).status_code == 409
    found = {"an imported device's secret": given["DeviceSecret"]}
    for one in (identity, wrong, unknown):
        found[f"the device secret of {one.device_name}"] = one.device_secret
        found |= {f"the {method} of {one.device_name}": one.login(method).password for method in DIGESTS}
    return found


async def callers(platform: Platform) -> dict[str, str]:
    """Both signatures and Basic, right and wrong; a key that is made and one that is given."""
    made = await platform.api().rest("POST", "/v1/access-keys", json={"Role": "reader"})
    reader = Key(made.json()["AccessKeyId"], made.json()["AccessKeySecret"])
    given = Key(f"given{secrets.token_hex(6)}", secrets.token_hex(16))
    body = {"Role": "reader", "AccessKeyId": given.access_key_id, "AccessKeySecret": given.access_key_secret}
    assert (await platform.api().rest("POST", "/v1/access-keys", json=body)).status_code == 201
    wrong = Key(reader.access_key_id, secrets.token_hex(16))
    for face in ("v1", "acs3"):
        for key in (reader, given):
            await platform.api(face, key).ok("QueryProductList")
        with pytest.raises(ApiRefused):
            await platform.api(face, wrong).call("QueryProductList")
    assert (await platform.api(key=wrong).rest("GET", "/v1/products")).status_code == 401
    keys = {"a made key": reader, "a given key": given, "a wrong key": wrong}
    return {f"the secret of {what}": key.access_key_secret for what, key in keys.items()}


async def sinks(platform: Platform) -> dict[str, str]:
    """A rule that writes by a named secret, one whose database does not exist, one that cannot be reached."""
    api = platform.api()
    passwords = {what: secrets.token_hex(12) for what in ("a sink", "no database", "no server")}
    identity = await new_device(api, await new_product(api))
    sink = Sink(platform, "v integer")
    sink.dsn = with_password(sink.dsn, passwords["a sink"])
    await sink.create(api)
    rule = await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v": 5}')
        assert await eventually(sink.rows)
    base = with_password(platform.sink_dsn, passwords["no database"]).rpartition("/")[0]
    broken = {
        "no database": f"{base}/nowhere",
        "no server": f"postgresql://someone:{passwords['no server']}@127.0.0.1:1/thinghub",
    }
    for what, dsn in broken.items():
        name = f"broken-{secrets.token_hex(4)}"
        assert (await api.rest("PUT", f"/v1/secrets/{name}", json={"Value": dsn})).status_code == 200
        configuration = json.dumps(sink.action({"v": "${v}"}, dsn_ref=name))
        refused = await api.call("CreateRuleAction", RuleId=rule, Type="RDS", Configuration=configuration)
        assert refused["Success"] is False, what
        assert passwords[what] not in json.dumps(refused)
    return {f"the password of {what}": password for what, password in passwords.items()}
