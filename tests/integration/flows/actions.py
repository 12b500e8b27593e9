"""What rules send outside: to an HTTP function, to a Kafka topic, and to the error action what a table refused."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

import kafka

from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.http_function import http_function
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


async def secret(api: OpenApi, value: str) -> str:
    name = f"s-{secrets.token_hex(4)}"
    answer = await api.rest("PUT", f"/v1/secrets/{name}", json={"Value": value})
    assert answer.status_code in (200, 201, 204), answer.text
    return name


async def function_rule_posts_signed_events(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    select = "CASE v WHEN 1 THEN 'one' ELSE 'many' END AS word, abs(v) AS v, payload() AS raw"
    async with http_function() as function:
        configuration = {"url": function.url(), "method": "POST", "hmac_ref": await secret(api, "shared")}
        where = "name LIKE 'p%' AND v IN (1, -2)"
        await running_rule(api, identity.product_key, select, "FC", json.dumps(configuration), where=where)
        async with await connected(platform, identity) as device:
            for payload in (b'{"name":"pump","v":-2}', b'{"name":"pump","v":3}', b'{"name":"tap","v":1}'):
                device.publish(identity.topic("update"), payload)
            device.publish(identity.topic("update"), b'{"name":"p","v":1}')

            async def both() -> bool:
                return len(function.requests) >= 2

            assert await eventually(both)
    assert [json.loads(request.body) for request in function.requests] == [
        {"word": "many", "v": 2, "raw": '{"name":"pump","v":-2}'},
        {"word": "one", "v": 1, "raw": '{"name":"p","v":1}'},
    ]
    for request in function.requests:
        signed = request.headers["thinghub-timestamp"].encode() + b"." + request.body
        mac = hmac.new(b"shared", signed, hashlib.sha256).hexdigest()
        assert request.headers["thinghub-signature"] == f"sha256={mac}"
        assert request.headers["ce-source"] == identity.topic("update")
        assert int(request.headers["ce-id"]) > 0


async def function_rule_may_not_reach_the_link(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    rule = await api.ok("CreateRule", Name=f"r_{secrets.token_hex(6)}", ProductKey=product_key, Select="*", TopicType=1)
    for url in ("http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://0.0.0.0/"):
        answer = await api.call(
            "CreateRuleAction", RuleId=rule["RuleId"], Type="FC", Configuration=json.dumps({"url": url})
        )
        assert answer["Success"] is False, url


async def kafka_rule_writes_records(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    servers, topic = platform.sink_kafka, f"out-{secrets.token_hex(6)}"

    def create() -> None:
        admin = kafka.KafkaAdminClient(bootstrap_servers=servers)
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()

    def read() -> list[Any]:
        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None, consumer_timeout_ms=1000
        )
        found = list(consumer)
        consumer.close()
        return found

    await asyncio.to_thread(create)
    name = await secret(api, json.dumps({"bootstrap_servers": servers}))
    configuration = {"cluster_ref": name, "topic": topic, "key": "${deviceName}"}
    await running_rule(api, identity.product_key, "v", "KAFKA", json.dumps(configuration))
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v":1}')
        device.publish(identity.topic("update"), b'{"v":2}')

        async def both() -> list[Any]:
            found = await asyncio.to_thread(read)
            return found if len(found) >= 2 else []

        found = await eventually(both)
    assert [(record.key, json.loads(record.value)) for record in found] == [
        (identity.device_name.encode(), {"v": 1}),
        (identity.device_name.encode(), {"v": 2}),
    ]


async def a_refused_row_reaches_the_error_action(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "v integer CHECK (v < 100)").create(api)
    async with http_function() as function:
        rule_id = await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
        configuration = json.dumps({"url": function.url("/errors")})
        await api.ok("CreateRuleAction", RuleId=rule_id, Type="FC", Configuration=configuration, ErrorActionFlag=True)
        listed = await api.ok("ListRuleActions", RuleId=rule_id)
        flags = {action["Type"]: action["ErrorActionFlag"] for action in listed["RuleActionList"]["RuleActionInfo"]}
        assert flags == {"RDS": False, "FC": True}
        async with await connected(platform, identity) as device:
            device.publish(identity.topic("update"), b'{"v":500}')

            async def told() -> bool:
                return bool(function.requests)

            assert await eventually(told, deadline=40)
    body = json.loads(function.requests[0].body)
    assert base64.b64decode(body["base64OriginalPayload"]) == b'{"v":500}'
    assert (body["deviceName"], body["failures"][0]["actionType"]) == (identity.device_name, "RDS")
    assert body["failures"][0]["actionResource"] == sink.table
    assert await sink.rows() == []


FLOWS = (
    function_rule_posts_signed_events,
    function_rule_may_not_reach_the_link,
    kafka_rule_writes_records,
    a_refused_row_reaches_the_error_action,
)
