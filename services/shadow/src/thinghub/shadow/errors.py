"""Faults that shadow raises; `reason` is what the API maps to the contract's codes."""

from collections.abc import Mapping

from thinghub.common.errors import FailedPrecondition, Fault, InvalidArgument, ResourceExhausted, Unavailable


class StoreUnavailable(Unavailable):
    """Redis did not take it, or not on as many replicas as it must be on."""

    reason = "store_unavailable"


class DocumentBusy(Unavailable):
    """Other writers were quicker too many times in a row: repeat the call."""

    reason = "document_busy"


class DeviceInvalid(InvalidArgument):
    reason = "device_invalid"


class ShadowEmpty(InvalidArgument):
    reason = "shadow_message_empty"


class ShadowNotJson(InvalidArgument):
    reason = "shadow_message_not_json"


class ShadowTooLarge(InvalidArgument):
    """The message, or the document it would make, is too large or too deep."""

    reason = "shadow_too_large"


class ShadowMethodMissing(InvalidArgument):
    reason = "shadow_method_missing"


class ShadowMethodInvalid(InvalidArgument):
    reason = "shadow_method_invalid"


class ShadowStateMissing(InvalidArgument):
    reason = "shadow_state_missing"


class ShadowVersionMissing(InvalidArgument):
    reason = "shadow_version_missing"


class ShadowVersionInvalid(InvalidArgument):
    reason = "shadow_version_invalid"


class ShadowVersionConflict(FailedPrecondition):
    """The version is not greater than the document's."""

    reason = "shadow_version_conflict"


class ShadowDesiredMissing(InvalidArgument):
    reason = "shadow_desired_missing"


class ShadowDesiredNull(InvalidArgument):
    reason = "shadow_desired_null"


class ShadowDesiredNotJson(InvalidArgument):
    reason = "shadow_desired_not_json"


class ShadowDesiredEmpty(InvalidArgument):
    reason = "shadow_desired_empty"


class ShadowDesiredValueNull(InvalidArgument):
    reason = "shadow_desired_value_null"


class ShadowTooManyDesired(InvalidArgument):
    reason = "shadow_too_many_desired"


_OF_PROBLEM: Mapping[str, tuple[type[Fault], str]] = {
    "empty": (ShadowEmpty, "The shadow message is empty."),
    "not_json": (ShadowNotJson, "The shadow message is not a JSON object."),
    "too_large": (ShadowTooLarge, "A shadow has at most 16 kB."),
    "too_deep": (ShadowTooLarge, "A shadow has at most 5 levels."),
    "no_method": (ShadowMethodMissing, "The shadow message has no method."),
    "bad_method": (ShadowMethodInvalid, "The method is update."),
    "no_state": (ShadowStateMissing, "The shadow message has no state."),
    "no_version": (ShadowVersionMissing, "The shadow message has no version."),
    "bad_version": (ShadowVersionInvalid, "The version is an integer above the shadow's, or -1."),
    "conflict": (ShadowVersionConflict, "The version is not greater than the shadow's."),
    "no_desired": (ShadowDesiredMissing, "The state has no desired."),
    "desired_null": (ShadowDesiredNull, 'desired is null; the string "null" clears it.'),
    "desired_not_object": (ShadowDesiredNotJson, "desired is not a JSON object."),
    "desired_empty": (ShadowDesiredEmpty, "desired has no attribute."),
    "desired_value_null": (ShadowDesiredValueNull, 'An attribute of desired is null; the string "null" deletes it.'),
    "too_many_desired": (ShadowTooManyDesired, "desired has more than 128 attributes."),
}


def shadow_fault(problem: str) -> Fault:
    """The fault that says what is wrong with a server's update."""
    kind, text = _OF_PROBLEM[problem]
    return kind(text)


class ThingModelMissing(FailedPrecondition):
    """The product does not exist, or nothing was published for it."""

    reason = "thing_model_missing"


class PropertiesInvalid(InvalidArgument):
    """Values that cannot be set."""

    reason = "properties_invalid"


class SpanInvalid(InvalidArgument):
    """A span of time or a page size out of range."""

    reason = "span_invalid"


class ServiceUnknown(InvalidArgument):
    """The thing model has no such service."""

    reason = "service_unknown"


class ServiceArgumentsInvalid(InvalidArgument):
    reason = "service_arguments_invalid"


class ServiceNotAsynchronous(InvalidArgument):
    """A synchronous service where only asynchronous ones can be called."""

    reason = "service_not_asynchronous"


class DevicesInvalid(InvalidArgument):
    """None, too many, or one twice."""

    reason = "devices_invalid"


class TooManyCalls(ResourceExhausted):
    """As many synchronous calls are waited for as this process may."""

    reason = "too_many_calls"


class CallOffline(FailedPrecondition):
    reason = "call_offline"


class CallTimeout(FailedPrecondition):
    """The device got the call and did not answer in time."""

    reason = "call_timeout"


class CallHalfConnected(FailedPrecondition):
    """The device did not acknowledge the call."""

    reason = "call_half_connected"


class CallNotSent(FailedPrecondition):
    """No gateway could store or forward it."""

    reason = "call_not_sent"


class CallRefused(FailedPrecondition):
    """The device answered with a code other than 200."""

    reason = "call_refused"


class AnswerUnreadable(FailedPrecondition):
    """The device's answer is no Alink envelope."""

    reason = "answer_unreadable"


class DesiredInvalid(InvalidArgument):
    """Identifiers or versions of desired properties that make no sense."""

    reason = "desired_invalid"


class DesiredVersionConflict(FailedPrecondition):
    """A version given is not the stored one; nothing was set."""

    reason = "desired_version_conflict"


class RetentionInvalid(InvalidArgument):
    """More days than the platform keeps, or less than one."""

    reason = "retention_invalid"
