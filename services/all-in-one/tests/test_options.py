import socket
from pathlib import Path

import pytest

from thinghub.all_in_one.errors import CannotRun
from thinghub.all_in_one.options import Options, parse, with_free_ports

TARGETS = ("auth", "api-gateway")
ANY_PORTS = ("--mqtt-port", "0", "--mqtts-port", "0", "--api-port", "0", "--ota-port", "0", "--metrics-port", "0")


def given(*arguments: str) -> Options:
    return parse([*ANY_PORTS, *arguments], TARGETS)


def test_the_ports_of_the_contract_are_the_default() -> None:
    options = parse([], TARGETS)
    assert (options.mqtt_port, options.mqtts_port, options.api_port, options.metrics_port) == (1883, 8883, 8080, 9464)
    assert options.ota_port == 8081
    assert options.host == "127.0.0.1"
    assert options.demo
    assert options.targets == TARGETS


def test_a_data_directory_is_made_absolute() -> None:
    assert given("--data-dir", "here").data_dir == Path("here").absolute()


def test_a_subset_of_targets_has_no_demo() -> None:
    options = given("--target", "auth")
    assert options.targets == ("auth",)
    assert not options.demo


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        given("--target", "toaster")
    assert "toaster" in capsys.readouterr().err


def test_port_zero_becomes_five_different_free_ports() -> None:
    options = with_free_ports(given())
    ports = {options.mqtt_port, options.mqtts_port, options.api_port, options.ota_port, options.metrics_port}
    assert len(ports) == 5
    assert all(ports)


def test_a_taken_port_is_refused_naming_it_and_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotRun, match=rf"Port {port} is already taken: choose another with --mqtts-port"):
            with_free_ports(given("--mqtts-port", str(port)))


def test_one_port_for_two_listeners_is_refused() -> None:
    free = with_free_ports(given()).api_port
    with pytest.raises(CannotRun, match=r"given twice: choose another with --api-port"):
        with_free_ports(given("--mqtt-port", str(free), "--api-port", str(free)))


def test_an_address_that_is_not_this_machine_s_is_refused() -> None:
    with pytest.raises(CannotRun, match="choose another with --host"):
        with_free_ports(given("--host", "192.0.2.1", "--mqtt-port", "1883"))
