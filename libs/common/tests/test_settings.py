"""Settings from the environment."""

import os

import pytest
from pydantic import SecretStr, ValidationError

from thinghub.common.settings import ServiceSettings, SettingsError, load, unknown_variables


class Settings(ServiceSettings, env_prefix="THINGHUB_RULE_ENGINE_"):
    workers: int = 4
    master_key: SecretStr = SecretStr("")
    hosts: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("THINGHUB_")]:
        monkeypatch.delenv(name)


def test_defaults_need_no_environment() -> None:
    settings = load(Settings)
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.metrics_port == 9464
    assert settings.trace_ratio == 0.0


def test_the_schema_is_the_services_own_name() -> None:
    assert load(Settings).postgres_schema == "rule_engine"
    assert load(Settings, postgres_schema="mine").postgres_schema == "mine"


def test_the_services_own_variable_wins_over_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINGHUB_REDIS_URL", "redis://shared")
    assert load(Settings).redis_url == "redis://shared"
    monkeypatch.setenv("THINGHUB_RULE_ENGINE_REDIS_URL", "redis://own")
    assert load(Settings).redis_url == "redis://own"
    assert load(Settings, redis_url="redis://given").redis_url == "redis://given"


def test_only_shared_fields_have_a_shared_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINGHUB_WORKERS", "9")
    assert load(Settings).workers == 4


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINGHUB_RULE_ENGINE_WORKERS", "")
    assert load(Settings).workers == 4


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("THINGHUB_RULE_ENGINE_WORKERS", "many"),
        ("THINGHUB_METRICS_PORT", "70000"),
        ("THINGHUB_RULE_ENGINE_TRACE_RATIO", "2"),
        ("THINGHUB_LOG_LEVEL", "LOUD"),
        ("THINGHUB_RULE_ENGINE_SHUTDOWN_SECONDS", "0"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    sentence = str(caught.value)
    assert sentence.startswith(f"{variable}='{value}': ")
    assert "\n" not in sentence


def test_a_list_that_is_not_json_names_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINGHUB_RULE_ENGINE_HOSTS", "a,b")
    with pytest.raises(SettingsError, match="hosts"):
        load(Settings)


def test_a_wrong_secret_is_not_shown() -> None:
    class Strict(ServiceSettings, env_prefix="THINGHUB_AUTH_"):
        master_key: SecretStr

    with pytest.raises(SettingsError) as caught:
        load(Strict, master_key=["geheim"])
    assert "THINGHUB_AUTH_MASTER_KEY" in str(caught.value)
    assert "geheim" not in str(caught.value)
    with pytest.raises(SettingsError, match="THINGHUB_AUTH_MASTER_KEY: field required"):
        load(Strict)


def test_settings_are_frozen_and_secrets_do_not_print() -> None:
    settings = load(Settings, master_key="geheim")
    with pytest.raises(ValidationError):
        settings.workers = 5  # type: ignore[misc]
    assert "geheim" not in repr(settings)
    assert settings.master_key.get_secret_value() == "geheim"


def test_a_variable_that_nothing_reads_is_told() -> None:
    environment = {"THINGHUB_RULE_ENGINE_WORKRES": "1", "THINGHUB_RULE_ENGINE_ZZZ": "1", "THINGHUB_OTHER": "1"}
    assert list(unknown_variables(Settings, environment)) == [
        "THINGHUB_RULE_ENGINE_WORKRES is not a setting; did you mean THINGHUB_RULE_ENGINE_WORKERS?",
        "THINGHUB_RULE_ENGINE_ZZZ is not a setting",
    ]
