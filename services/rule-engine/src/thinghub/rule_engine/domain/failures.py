"""What an error action is given: the message that another action of its rule could not do, and why.

The shape is the vendor's (reference, rule engine §2; unconfirmed there). `failures` names one action, the one that
gave up just now; two actions that give up on one message make two error messages. There are no regions here, so
`actionRegion` is empty.
"""

import base64

from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.sql.kinds import ValueKind

# What a table that is made for an error action can rely on.
FAILURE_KINDS = {
    **dict.fromkeys(("ruleName", "topic", "productKey", "deviceName", "messageId"), ValueKind.TEXT),
    "base64OriginalPayload": ValueKind.TEXT,
    "failures": ValueKind.ANY,
}


def failure_of(output: Output, error_action_id: int, rule_name: str, type: str, resource: str) -> Output:
    origin = output.origin
    failure = {"actionType": type, "actionRegion": "", "actionResource": resource, "errorMessage": output.last_error}
    result: dict[str, object] = {
        "ruleName": rule_name,
        "topic": origin.topic,
        "productKey": origin.product_key,
        "deviceName": origin.device_name,
        "messageId": str(origin.message_id),
        "base64OriginalPayload": base64.b64encode(output.payload).decode(),
        "failures": [failure],
    }
    return Output(output.rule_id, error_action_id, origin, result, cause=output.action_id)
