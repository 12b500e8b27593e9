"""Every flow, in every way of running the platform."""

from collections.abc import Awaitable, Callable

import pytest

from tests.integration.flows import (
    actions,
    administration,
    audit,
    dead_letters,
    desired,
    fleet,
    histories,
    messages,
    ota,
    persistent_sessions,
    rotation,
    sdks,
    sessions,
    shadow,
    sub_devices,
    thing_services,
    things,
    topology,
    why,
)
from tests.support.platform import Platform

FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (
    sessions.connect_and_status,
    sessions.every_signature_and_both_ports,
    sessions.wrong_password_and_unknown_device_are_refused_with_4,
    sessions.a_disabled_device_is_cut_and_refused_until_enabled,
    sessions.a_deleted_device_is_cut_and_unknown,
    sessions.second_connection_kicks_the_first,
    messages.publish_rule_row,
    messages.status_rule_row,
    messages.republish_rule_reaches_another_device_and_other_rules,
    messages.pub_reaches_the_device,
    messages.rrpc_answered_timed_out_offline,
    messages.custom_rrpc_answers_on_the_same_topic,
    messages.foreign_topics_are_closed_in_both_directions,
    *actions.FLOWS,
    *audit.FLOWS,
    *dead_letters.FLOWS,
    *fleet.FLOWS,
    *persistent_sessions.FLOWS,
    *rotation.FLOWS,
    *sdks.FLOWS,
    *shadow.FLOWS,
    *sub_devices.FLOWS,
    *things.FLOWS,
    *topology.FLOWS,
    *why.FLOWS,
    *thing_services.FLOWS,
    *desired.FLOWS,
    *histories.FLOWS,
    administration.an_access_key_without_the_role_is_refused,
    ota.a_device_is_upgraded_from_upload_to_new_version,
    ota.a_device_that_was_away_is_told_when_it_returns,
    ota.a_finished_upgrade_is_told_to_rules,
    administration.restart_keeps_devices_and_rules,
    ota.an_upgrade_under_way_survives_a_restart,
)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_flow(platform: Platform, flow: Callable[[Platform], Awaitable[None]]) -> None:
    try:
        await flow(platform)
    finally:
        await platform.close_apis()
