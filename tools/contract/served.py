"""The topics that work: each with the test that drives it, and what was decided where the contract leaves it open.

The topic table says who a topic belongs to in the finished platform. That it works is claimed here, because a topic of
a category that reaches its owner may still be one that the owner does not read. `tests/house` checks that each pattern
is in the table and each test in its file.
"""

from collections.abc import Iterator
from typing import NamedTuple

FLOWS = "tests/integration/flows/"
OTA = "services/ota/tests/test_upgrade.py"
TAGS = "services/device-registry/tests/entrypoints/test_tags.py"
TOPOLOGY = "services/device-registry/tests/entrypoints/test_topology.py"

REPLY = "_reply"


class Served(NamedTuple):
    """`decided`: where it differs from the contract, or how an unconfirmed fact of it was decided."""

    file: str
    test: str
    decided: str = ""


def _sys(path: str) -> str:
    return "/sys/{pk}/{dn}/" + path


def _asked(path: str, served: Served) -> Iterator[tuple[str, Served]]:
    """Both ways; the decision stands at the question."""
    yield _sys(path), served
    yield _sys(path) + REPLY, served._replace(decided="")


def _combined(step: str, served: Served) -> Iterator[tuple[str, Served]]:
    topic = "/ext/session/{pk}/{dn}/combine/" + step
    yield topic, served
    yield topic + REPLY, served._replace(decided="")


_POST = Served(FLOWS + "things.py", "properties_are_posted_replied_stored_and_read")
_POSTS = Served(FLOWS + "things.py", "events_batches_and_packs_are_posted")
_CODES = (
    "Which fault has which code is not confirmed: 6300 to 6327 by the table in shadow's README. An event that the "
    "thing model does not have is 6300 in every ValidateType."
)
_PACK = (
    "Not confirmed: one bad part refuses all of it; 200 properties and 200 events are counted over all parts; "
    "sub-devices need not be logged in. One that the gateway no longer holds may be spoken for ten seconds more."
)
_HISTORY = (
    "Not confirmed: the shape (an array of devices with arrays of properties and events; without `identity` the "
    "sender); a value without a time, or of more than a minute ahead, is 6326; only a later value replaces the latest."
)
_DESIRED = Served(
    FLOWS + "desired.py",
    "a_desired_property_reaches_the_device_and_is_cleared_by_it",
    "Not confirmed: versions begin at 1 and rise by one with every set; [] asks for everything; what nothing is "
    "desired of is left out; 6661 also for an answer over 256 kB. An online device is sent a property set (QoS 0).",
)
_CLEARED = "Not confirmed: a version stays when its value is cleared, so that it never means two values."
_SET = Served(
    FLOWS + "things.py",
    "a_property_is_set_and_a_newer_thing_model_takes_effect",
    "`id` counts up by device, from 1.",
)
_SERVICE = Served(
    FLOWS + "thing_services.py",
    "an_asynchronous_service_is_called_answered_recorded_and_told_to_rules",
    "`id` counts up by device, from 1. An answer within eight days is recorded with its call; each answer becomes a "
    "downlink reply message, whatever its id.",
)
_TAGS = Served(TAGS, "test_a_device_sets_and_deletes_tags_and_is_answered_where_it_asked")
_TAG_BOUNDS = "Bounds that are not confirmed: a key of 128 characters, a value of 1024."
_TOPOLOGY = Served(FLOWS + "topology.py", "a_gateway_adds_reads_and_deletes_its_sub_devices")
_ADDED = (
    "Not confirmed: a device that stands behind another gateway moves, because its sign was proven; that one is told "
    "by `thing/topo/change`. The sender is a gateway (NodeType 1) and the devices are not, else 460. A message is done "
    "whole or not at all. Not served: 429, 6203."
)
_NOTIFIED = Served(FLOWS + "topology.py", "a_gateway_is_asked_to_add_and_told_what_callers_change")
_CHANGED = Served(
    TOPOLOGY, "test_callers_remove_and_the_gateway_is_told", "Status 2 is enable and 8 disable (not confirmed)."
)
_FOUND = Served(
    TOPOLOGY,
    "test_found_devices_are_answered_and_passed_on",
    "Rules get the devices; the `iotId` of one that is not registered is empty. Not served: 6280.",
)
_MODEL = Served(FLOWS + "fleet.py", "a_device_reads_the_thing_model_of_its_product")
_MODEL_CODES = "Not confirmed: 5159 nothing is published, 5161 larger than a message."
_SHADOW = Served(FLOWS + "shadow.py", "a_shadow_is_reported_read_and_refused_with_every_code")
_RESET = "Version -1, not confirmed: it empties the document and sets version 0, then the rest of the request is done."
_OTA = Served(OTA, "test_a_device_is_told_reports_progress_and_the_version_ends_it")
_OTA_QUESTIONS = Served(OTA, "test_questions_are_answered_on_their_own_topics")
_INFORM = (
    "Not confirmed: a version other than the target leaves the task as it is, because devices name theirs at every "
    "start."
)
_PROGRESS = "100 does not end the task: only the target version, informed, does."
_TIME = Served(FLOWS + "fleet.py", "a_device_is_told_the_time")
_BROADCAST = Served(FLOWS + "fleet.py", "a_broadcast_reaches_all_online_devices_or_the_subscribers")
_LOGIN = Served(FLOWS + "sub_devices.py", "a_sub_device_posts_and_is_switched_over_its_gateways_connection")
_LOGIN_CODES = (
    "Not confirmed: the checks go signature (6287, or 6100), topology, log-ins of the device in this minute; a device "
    "that was deleted is 6100. Logging in twice over one connection is 200 and changes nothing."
)
_BATCH = Served(FLOWS + "sub_devices.py", "a_batch_logs_in_and_out_and_ends_with_its_gateway")
_BATCH_REPLY = (
    "Not confirmed: 200 with a list of the devices; else the code of the first that failed and a list of those that "
    "did, each with `code` and `message`, the others being logged in. A batch that names a device twice is refused "
    "whole: 527."
)
_LOGOUT = "A device without a session on the connection, not confirmed: 520."
_ERROR = Served(
    FLOWS + "sub_devices.py",
    "a_disabled_deleted_or_removed_sub_device_is_ended_alone",
    "Not confirmed: `data` names the sub-device; 520 is said at most three times a second and connection; a session "
    "that ends for another reason is 500.",
)
_RRPC = Served(FLOWS + "messages.py", "rrpc_answered_timed_out_offline")
_CUSTOM_RRPC = Served(FLOWS + "messages.py", "custom_rrpc_answers_on_the_same_topic")
_CUSTOM = Served(
    FLOWS + "messages.py",
    "publish_rule_row",
    "Classes of a new product, not confirmed: `update` and `update/error` to publish, `get` to subscribe.",
)

SERVED: dict[str, Served] = {
    _sys("rrpc/request/+"): _RRPC,
    _sys("rrpc/response/+"): _RRPC,
    "/ext/rrpc/#": _CUSTOM_RRPC,
    "/{pk}/{dn}/user/#": _CUSTOM,
    **dict(_asked("thing/event/+/post", _POST._replace(decided=_CODES))),
    **dict(
        _asked(
            "thing/event/property/pack/post",
            Served(FLOWS + "histories.py", "a_pack_of_a_gateway_is_what_each_sub_device_would_have_posted", _PACK),
        )
    ),
    **dict(_asked("thing/event/property/batch/post", _POSTS)),
    **dict(
        _asked(
            "thing/event/property/history/post",
            Served(FLOWS + "histories.py", "a_history_is_read_by_its_times_and_told_to_rules_as_history", _HISTORY),
        )
    ),
    **dict(_asked("thing/property/desired/get", _DESIRED)),
    **dict(_asked("thing/property/desired/delete", _DESIRED._replace(decided=_CLEARED))),
    **dict(_asked("thing/service/property/set", _SET)),
    _sys("thing/service/+"): _SERVICE,
    **dict(_asked("thing/deviceinfo/update", _TAGS._replace(decided=_TAG_BOUNDS))),
    **dict(_asked("thing/deviceinfo/delete", _TAGS)),
    **dict(_asked("thing/dsltemplate/get", _MODEL._replace(decided=_MODEL_CODES))),
    **dict(
        _asked(
            "thing/dynamicTsl/get",
            _MODEL._replace(decided="Not confirmed: the slim form, identifiers and data types, whatever `params` say."),
        )
    ),
    **dict(_asked("thing/topo/add", _TOPOLOGY._replace(decided=_ADDED))),
    **dict(_asked("thing/topo/delete", _TOPOLOGY)),
    **dict(_asked("thing/topo/get", _TOPOLOGY)),
    **dict(_asked("thing/list/found", _FOUND)),
    **dict(_asked("thing/topo/add/notify", _NOTIFIED)),
    **dict(_asked("thing/topo/change", _CHANGED)),
    "/shadow/update/{pk}/{dn}": _SHADOW._replace(decided=_RESET),
    "/shadow/get/{pk}/{dn}": _SHADOW,
    "/ota/device/inform/{pk}/{dn}": _OTA._replace(decided=_INFORM),
    "/ota/device/progress/{pk}/{dn}": _OTA._replace(decided=_PROGRESS),
    "/ota/device/upgrade/{pk}/{dn}": _OTA,
    "/ota/device/request/{pk}/{dn}": _OTA_QUESTIONS,
    **dict(_asked("thing/ota/firmware/get", _OTA_QUESTIONS)),
    **dict(_combined("login", _LOGIN._replace(decided=_LOGIN_CODES))),
    **dict(_combined("batch_login", _BATCH._replace(decided=_BATCH_REPLY))),
    **dict(_combined("logout", _LOGIN._replace(decided=_LOGOUT))),
    **dict(_combined("batch_logout", _BATCH)),
    "/ext/error/{pk}/{dn}": _ERROR,
    "/ext/ntp/{pk}/{dn}/request": _TIME,
    "/ext/ntp/{pk}/{dn}/response": _TIME,
    _sys("broadcast/request/+"): _BROADCAST._replace(decided="The topic is not confirmed. QoS 0; nothing is kept."),
    "/broadcast/{pk}/#": _BROADCAST,
}
