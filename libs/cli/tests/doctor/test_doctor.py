"""`thinghub doctor` on real servers, well and badly set up: verdicts, sentences, exit codes."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.cli.tests.doctor.conftest import Doctor
from tests.support.postgres_server import with_password
from tests.support.servers import RedisCluster, RedisServer, free_port
from thinghub.cli.admin import create_topics
from thinghub.cli.doctor.command import doctor_command
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import DEVICE_CUSTOM, RULE_RETRY_1S

Installation = Callable[..., None]


def topics(url: str, prefix: str, partitions: dict[str, int] | None = None) -> None:
    asyncio.run(create_topics(url, prefix, Runtime.for_tests("admin"), partitions))


@pytest.fixture
def careless_redis() -> Iterator[RedisServer]:
    server = RedisServer(options={"maxmemory-policy": "allkeys-lru", "appendonly": "no", "maxmemory": "900kb"})
    server.start()
    yield server
    server.close()


# -- the bus


def test_missing_topics_are_refused_with_the_command_that_makes_them(
    doctor: Doctor, redis_url: str, prefix: str
) -> None:
    before = doctor()
    assert before.code == 2
    verdict, sentence = before.findings["bus topics"]
    assert verdict == "refuse"
    assert sentence.endswith("more are missing: run `thinghub admin topics`.")
    topics(f"streams+{redis_url}", prefix)
    assert doctor().verdicts("bus") == {}


def test_partitions_that_differ_from_the_table_are_named(doctor: Doctor, redis_url: str, prefix: str) -> None:
    topics(f"streams+{redis_url}", prefix, {DEVICE_CUSTOM: 3})
    said = doctor()
    assert said.verdicts("bus") == {"partitions": "warn"}
    assert "device.custom has 3 instead of 8" in said.findings["bus partitions"][1]


def test_kafka_is_asked_for_its_copies_settings_and_topics(
    doctor: Doctor, installation: Installation, kafka_url: str, prefix: str
) -> None:
    topics(kafka_url, prefix, {DEVICE_CUSTOM: 2})
    installation(BUS_URL=kafka_url)
    said = doctor()
    assert said.verdicts("bus") == {"copies": "warn", "partitions": "warn"}
    assert "one broker holds the only copy" in said.findings["bus copies"][1]
    assert "device.custom has 2 instead of 8" in said.findings["bus partitions"][1]


def test_a_topic_of_kafka_that_was_set_badly_is_refused(
    doctor: Doctor, installation: Installation, kafka_url: str, prefix: str
) -> None:
    topics(kafka_url, prefix)
    installation(BUS_URL=kafka_url)
    _set_on_kafka(kafka_url, prefix + RULE_RETRY_1S, "retention.ms", "3600000")
    _set_on_kafka(kafka_url, prefix + DEVICE_CUSTOM, "min.insync.replicas", "2")
    _set_on_kafka(kafka_url, prefix + DEVICE_CUSTOM, "unclean.leader.election.enable", "true")
    said = doctor()
    assert said.code == 2
    assert said.verdicts("bus") == {"copies": "warn", "in sync": "refuse", "elections": "refuse", "retention": "warn"}
    assert "rule.retry.1s keeps 1 h instead of 168 h" in said.findings["bus retention"][1]
    assert "device.custom can never be written" in said.findings["bus in sync"][1]


def _set_on_kafka(url: str, topic: str, name: str, value: str) -> None:
    import kafka
    from kafka.admin import ConfigResource, ConfigResourceType

    admin = kafka.KafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])
    admin.close()


# -- Redis


def test_a_redis_that_forgets_is_refused_for_each_way_of_it(
    doctor: Doctor, installation: Installation, careless_redis: RedisServer
) -> None:
    installation(REDIS_URL=careless_redis.url)
    said = doctor()
    found = said.verdicts("redis")
    assert {name: found[name] for name in ("eviction", "persistence", "memory")} == dict.fromkeys(
        ("eviction", "persistence", "memory"), "refuse"
    )
    assert "maxmemory-policy allkeys-lru throws sessions" in said.findings["redis eviction"][1]


def test_everysec_is_refused_where_the_bus_is_and_a_warning_elsewhere(
    doctor: Doctor, installation: Installation, private_redis: RedisServer
) -> None:
    with private_redis.client() as client:
        client.config_set("appendfsync", "everysec")
    installation(REDIS_URL=private_redis.url)
    assert doctor().verdicts("redis")["persistence"] == "warn"
    installation(BUS_URL=f"streams+{private_redis.url}")
    assert doctor().verdicts("redis")["persistence"] == "refuse"


def test_a_redis_that_refuses_config_is_a_warning(
    doctor: Doctor, installation: Installation, private_redis: RedisServer
) -> None:
    with private_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-config")
    installation(REDIS_URL=private_redis.url)
    said = doctor()
    assert said.verdicts("redis")["persistence"] == "warn"
    assert "CONFIG is refused" in said.findings["redis persistence"][1]


def test_a_cluster_is_judged_by_the_replicas_of_every_master(
    doctor: Doctor, installation: Installation, redis_cluster: RedisCluster
) -> None:
    installation(REDIS_URL=redis_cluster.url)
    said = doctor()
    assert "3 masters" in said.findings["redis version"][1]
    assert "THINGHUB_REDIS_REPLICAS=1" in said.findings["redis replicas"][1]
    installation(REDIS_REPLICAS="2")
    refused = doctor()
    assert refused.verdicts("redis")["replicas"] == "refuse"
    assert "2 replicas must confirm a write" in refused.findings["redis replicas"][1]


# -- PostgreSQL


def test_pools_are_held_against_the_room_of_the_server(doctor: Doctor) -> None:
    said = doctor()
    assert said.verdicts("postgres") == {"schemas": "warn"}
    assert "5 pools of 8 in 1 process each take 40 of " in said.findings["postgres connections"][1]
    assert doctor("--processes", "40").verdicts("postgres")["connections"] == "refuse"


def test_migrations_that_wait_or_were_changed_are_told(
    doctor: Doctor, installation: Installation, postgres_dsn: str, prefix: str
) -> None:
    schema = "doctor_" + prefix.strip(".")

    async def store(sha256: str) -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {schema}.schema_migrations "
            "(number int PRIMARY KEY, name text, sha256 text, applied_at timestamptz)"
        )
        if sha256:
            await connection.execute(f"INSERT INTO {schema}.schema_migrations VALUES (1, 'x', $1)", sha256)
        await connection.close()

    asyncio.run(store(""))
    installation(POSTGRES_SCHEMA=schema)
    waiting = doctor()
    assert waiting.verdicts("postgres") == {"schemas": "warn"}
    assert f"migrations wait in {schema} (0001_" in waiting.findings["postgres schemas"][1]
    asyncio.run(store("not the file's"))
    changed = doctor()
    assert changed.verdicts("postgres") == {"schemas": "refuse"}
    assert "was changed after it was applied" in changed.findings["postgres schemas"][1]


# -- away


def test_parts_that_are_away_are_a_sentence_each_and_nothing_secret_is_said(
    doctor: Doctor, installation: Installation, postgres_dsn: str
) -> None:
    port = free_port()
    installation(
        REDIS_URL=f"redis://:hush-hush@127.0.0.1:{port}/0",
        POSTGRES_DSN=with_password(f"postgresql://thinghub@127.0.0.1:{port}/thinghub", "hush-hush"),
        BUS_URL=f"kafka://127.0.0.1:{port}",
    )
    said = doctor()
    assert said.code == 3
    assert {name: said.findings[name][0] for name in ("bus", "redis", "postgres")} == dict.fromkeys(
        ("bus", "redis", "postgres"), "away"
    )
    assert said.findings["redis"][1].startswith("Redis cannot be asked (127.0.0.1:")
    assert "hush" not in said.text
    assert "Traceback" not in said.text


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(doctor: Doctor, installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        installation(REDIS_URL=f"redis://127.0.0.1:{port}", POSTGRES_DSN=f"postgresql://x@127.0.0.1:{port}/x")
        said = doctor("--seconds", "1")
    assert said.code == 3
    assert said.findings["postgres"] == (
        "away", "PostgreSQL cannot be asked (no answer in 1 s): see that it runs, and that its variable names it."
    )  # fmt: skip


def test_an_address_that_cannot_be_read_is_a_sentence(doctor: Doctor, installation: Installation) -> None:
    installation(REDIS_URL="memcached://:hush@h", POSTGRES_DSN="postgresql://u:hush@h:port/x", BUS_URL="amqp://h")
    said = doctor()
    assert said.code == 3
    assert "not a Redis URL" in said.findings["redis"][1]
    assert "begins with kafka://" in said.findings["bus"][1]
    assert "hush" not in said.text


def test_services_with_addresses_of_their_own_are_asked_apart(
    doctor: Doctor, installation: Installation, private_redis: RedisServer
) -> None:
    installation(SHADOW_REDIS_URL=private_redis.url)
    said = doctor()
    assert "redis (shadow) eviction" in said.findings
    assert any(name.startswith("redis (api-gateway, auth,") for name in said.findings)


# -- the host


def test_a_low_file_limit_is_held_against_the_connections_of_the_gateway(installation: Installation) -> None:
    installation(CONNECTION_GATEWAY_MAX_CONNECTIONS="18000")
    command = f"ulimit -n 600; exec {sys.executable} -m thinghub.cli.main doctor --json"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    [found] = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "host open files"]
    assert found["verdict"] == "refuse"
    assert found["sentence"].startswith("600 may be open and 18000 connections with what is beside them need 19000")


def certificate(place: Path, days: float, begins: float = -1) -> tuple[str, str]:
    """Files of a self-signed certificate that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    chain, secret = place / "chain.pem", place / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*plain))
    return str(chain), str(secret)


@pytest.mark.parametrize(
    ("days", "begins", "verdict", "says"),
    [
        (100.5, -1, "ok", "holds for 100 days"),
        (20.5, -1, "warn", "ends in 20 days: renew it."),
        (3.5, -1, "refuse", "renew it now"),
        (-0.5, -1, "refuse", "devices are refusing it"),
        (100, 2, "refuse", "on: use one that holds now"),
    ],
)
def test_certificates_are_judged_by_the_days_left(
    doctor: Doctor, installation: Installation, tmp_path: Path, days: float, begins: float, verdict: str, says: str
) -> None:
    chain, key = certificate(tmp_path, days, begins)
    installation(CONNECTION_GATEWAY_TLS_CERT_FILE=chain, CONNECTION_GATEWAY_TLS_KEY_FILE=key)
    found, sentence = doctor().findings["host certificates"]
    assert (found, says in sentence) == (verdict, True), sentence


def test_a_certificate_with_another_key_or_none_is_refused(
    doctor: Doctor, installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    chain, _ = certificate(tmp_path, 100)
    _, key = certificate(tmp_path / "other", 100)
    installation(CONNECTION_GATEWAY_TLS_CERT_FILE=chain, CONNECTION_GATEWAY_TLS_KEY_FILE=key)
    assert "its key does not fit" in doctor().findings["host certificates"][1]
    installation(CONNECTION_GATEWAY_TLS_KEY_FILE=str(tmp_path / "absent"))
    assert "No such file" in doctor().findings["host certificates"][1]


def test_the_master_key_must_be_there_and_private(doctor: Doctor, installation: Installation, tmp_path: Path) -> None:
    assert doctor().findings["host master key"][0] == "ok"
    (tmp_path / "master.key").chmod(0o644)
    assert doctor().findings["host master key"] == (
        "warn", f"{tmp_path / 'master.key'} can be read by others: chmod 600."
    )  # fmt: skip
    installation(AUTH_MASTER_KEY_FILE=str(tmp_path / "absent"))
    assert doctor().findings["host master key"][0] == "refuse"
    installation(AUTH_MASTER_KEY_FILE=None)
    said = doctor()
    assert said.findings["host master key"][0] == "refuse"
    assert "no master key: set THINGHUB_AUTH_MASTER_KEY_FILE" in said.findings["host environment"][1]


# -- the command


def test_it_prints_a_line_a_check_and_a_conclusion(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    code = doctor_command([])
    said = capsys.readouterr()
    assert said.err.startswith("asking host, bus, redis, postgres")
    lines = said.out.splitlines()
    assert "ok      host environment        the settings of 7 services can be read." in lines
    assert lines[-1].startswith(f"Of {len(lines) - 1} checks ")
    assert code == 2


def test_wrong_shared_variables_are_told_and_nothing_is_asked(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    installation(REDIS_REPLICAS="many")
    assert doctor_command([]) == 3
    assert "THINGHUB_REDIS_REPLICAS" in capsys.readouterr().err
    assert os.environ["THINGHUB_REDIS_REPLICAS"] == "many"


def test_a_data_directory_without_a_platform_is_told(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor_command(["--data-dir", str(tmp_path)]) == 3
    assert "no platform runs on the data directory" in capsys.readouterr().err
