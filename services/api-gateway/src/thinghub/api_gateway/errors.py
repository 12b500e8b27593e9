"""Everything an API caller can be refused with, in two tables.

Two kinds of refusal leave this service (open-api.md §3). A *gateway* refusal (kind A) says that the call was not
performed: HTTP 4xx/5xx. A *business* refusal (kind B) is the operation's own answer: HTTP 200, `Success: false`, and a
code that begins with `iot.`. The REST face knows one kind only, so every code has a REST status too.

    CODES    public code -> HTTP status (kind A: on both faces; kind B: on the REST face)
    REASONS  fault reason of an owner -> public code
"""

from collections.abc import Mapping

from thinghub.common.errors import Fault, RemoteFault, Unavailable

SYSTEM_EXCEPTION = "iot.system.SystemException"
SERVICE_UNAVAILABLE = "ServiceUnavailable"

CODES: Mapping[str, int] = {
    # Kind A
    "MissingParameter": 400,
    "InvalidParameter": 400,
    "MissingAction": 400,
    "InvalidAction.NotFound": 404,
    "InvalidVersion": 400,
    "IncompleteSignature": 400,
    "SignatureDoesNotMatch": 400,
    "SignatureNonceUsed": 400,
    "InvalidTimeStamp.Format": 400,
    "InvalidTimeStamp.Expired": 400,
    "InvalidAccessKeyId.NotFound": 404,
    "Unauthorized": 401,
    "Forbidden.RAM": 403,
    "NotFound": 404,
    "UnsupportedHTTPMethod": 405,
    "RequestTimeout": 408,
    "RequestBodyTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Throttling.Api": 429,
    SERVICE_UNAVAILABLE: 503,
    # Kind B: common
    SYSTEM_EXCEPTION: 502,
    "iot.common.InvalidPageParams": 400,
    "iot.common.InvalidTenant": 404,
    "iot.common.AlreadyExistedTenant": 409,
    # Kind B: products
    "iot.prod.AlreadyExistedProductKey": 409,
    "iot.prod.AlreadyExistedProductName": 409,
    "iot.prod.CreateProductFailed": 400,
    "iot.prod.InvalidFormattedProductkey": 400,
    "iot.prod.InvalidFormattedProductName": 400,
    "iot.prod.InvalidNodeType": 400,
    "iot.prod.LongProductDesc": 400,
    "iot.prod.NotExistedProduct": 404,
    "iot.prod.NullProductKey": 400,
    "iot.prod.NullProductName": 400,
    "iot.prod.ProductCountExceedMax": 409,
    "iot.prod.QueryDeviceCountActionError": 409,
    "iot.prod.QueryProductAbilitiesFailed": 404,
    "iot.prod.UpdateProductFailed": 400,
    # Kind B: devices
    "iot.device.AddTopoRelationFailed": 409,
    "iot.device.AlreadyExistedDeviceName": 409,
    "iot.device.ApplyManyDevicesFailed": 400,
    "iot.device.CreateDeviceTaskIsRunning": 409,
    "iot.device.DeviceApplyIsNotFound": 404,
    "iot.device.DesiredPropertyVersionConflict": 409,  # ours: the contract names none
    "iot.device.DeviceCountExceeded": 409,
    "iot.device.IncorrectDeviceApplyInfo": 400,
    "iot.device.InvokeThingServiceFailed": 400,
    "iot.device.InvalidFormattedDeviceName": 400,
    "iot.device.InvalidIoTId": 400,
    "iot.device.NoneDeviceNameElement": 400,
    "iot.device.InvalidFormattedDevicePropertiesString": 400,
    "iot.device.InvalidFormattedDevicePropertyKey": 400,
    "iot.device.NoneDeviceProperties": 400,
    "iot.device.NullDevicePropertiesString": 400,
    "iot.device.NullDevicePropertyKey": 400,
    "iot.device.QueryTopoRelationFailed": 404,
    "iot.device.RemoveTopoRelationFailed": 409,
    "iot.device.SaveOrUpdateDevicePropertiesFailed": 409,
    "iot.device.TooManyDevicePropertiesPerTime": 400,
    "iot.device.NotExistedDevice": 404,
    "iot.device.NullApplyId": 400,
    "iot.device.NullDeviceName": 400,
    "iot.device.QueryDeviceAttrDataHistoryFailed": 400,
    "iot.device.QueryDeviceAttrStatusFailed": 409,
    "iot.device.QueryDeviceEventHistoryFailed": 400,
    "iot.device.QueryDeviceServiceHistoryFailed": 400,
    "iot.device.SetDevicePropertyFailed": 400,
    "iot.device.SecretRotationNotFound": 409,  # ours
    "iot.device.SecretRotationUnderWay": 409,  # ours
    "iot.device.TooManyDevicesPerTime": 400,
    "iot.device.TopoRelationCountExceeded": 409,
    # Kind B: messages and topics
    "iot.messagebroker.HALFCONN": 504,
    "iot.messagebroker.InvalidFormattedTopicName": 400,
    "iot.messagebroker.InvalidTimeoutValue": 400,
    "iot.messagebroker.InvalidTopicTemplateOperationValue": 400,
    "iot.messagebroker.MessageContentIsNotBase64Encode": 400,
    "iot.messagebroker.MessageContentIsTooLarge": 413,
    "iot.messagebroker.NullMessageContent": 400,
    "iot.messagebroker.NullTopicName": 400,
    "iot.messagebroker.NullTopicTemplateOperation": 400,
    "iot.messagebroker.OFFLINE": 409,
    "iot.messagebroker.PublishMessageFailed": 502,
    "iot.messagebroker.RrpcFailed": 502,
    "iot.messagebroker.TIMEOUT": 504,
    "iot.messagebroker.TopicAlreadyFound": 409,
    "iot.messagebroker.TopicTemplateCountExceedMax": 409,
    "iot.messagebroker.IncorrectRuleSql": 400,
    # Kind B: shadows
    "iot.messagebroker.DesireInfoInShadowMessageIsNotJson": 400,
    "iot.messagebroker.DesireValueIsNullInShadowMessage": 400,
    "iot.messagebroker.ElementKeyOrValueIsNullInDesire": 400,
    "iot.messagebroker.InvalidVersionValueInShadowMessage": 400,
    "iot.messagebroker.MethodValueIsNotUpdate": 400,
    "iot.messagebroker.NoneElementInDesire": 400,
    "iot.messagebroker.NotFoundDesireInShadowMessage": 400,
    "iot.messagebroker.NotFoundMethodInShadowMessage": 400,
    "iot.messagebroker.NotFoundStateInShadowMessage": 400,
    "iot.messagebroker.NotFoundVersionOrNullVersionValue": 400,
    "iot.messagebroker.NullShadowMessage": 400,
    "iot.messagebroker.ShadowMessageIsNotJson": 400,
    "iot.messagebroker.ShadowMessageLengthIsLarge": 413,
    "iot.messagebroker.TooManyElementInDesire": 400,
    "iot.messagebroker.UpdateDeviceShadowMessageFailed": 409,
    # Kind B: rules
    "iot.rule.CreateRuleException": 400,
    "iot.rule.IncorrentRuleActionId": 400,
    "iot.rule.IncorrentRuleActionType": 400,
    "iot.rule.IncorrentRuleId": 400,
    "iot.rule.NotFoundRule": 404,
    "iot.rule.NotFoundDeadLetter": 404,
    "iot.rule.NotFoundRuleAction": 404,
    "iot.rule.NullSqlForRule": 409,
    "iot.rule.ParseRuleActionConfigError": 400,
    "iot.rule.RuleActionIsAlreadyCreated": 409,
    "iot.rule.RuleCountExceedMax": 409,
    "iot.rule.RuleNameIsAlreadyExisted": 409,
    "iot.rule.TooManyRuleAction": 409,
    "iot.ruleng.CreateRuleActionFailed": 400,
    "iot.ruleng.IncorrectSysTopic": 400,
    "iot.ruleng.IncorrectType": 400,
    "iot.ruleng.NullRuleActionConfig": 400,
    "iot.ruleng.NullRuleActionType": 400,
    "iot.ruleng.RuleActionConfigurationIsNotJson": 400,
    "iot.ruleng.RuleAlreadyIsStarted": 409,
    # Kind B: over-the-air updates; the contract names no codes, so these are ours
    "iot.ota.FirmwareAlreadyExist": 409,
    "iot.ota.FirmwareFileNotExist": 404,
    "iot.ota.FirmwareNotExist": 404,
    "iot.ota.FirmwareSignMismatch": 409,
    "iot.ota.JobNotExist": 404,
    "iot.ota.UnsupportedUpgrade": 400,
    # Kind B: of ours, on operations that exist on the REST face only
    "iot.secret.NotExistedSecret": 404,
    "iot.secret.InvalidFormattedSecretName": 400,
    "iot.accesskey.AlreadyExistedAccessKey": 409,
    "iot.accesskey.NotExistedAccessKey": 404,
}

REASONS: Mapping[str, str] = {
    # device-registry
    "product_not_found": "iot.prod.NotExistedProduct",
    "product_has_devices": "iot.prod.QueryDeviceCountActionError",
    "product_exists": "iot.prod.AlreadyExistedProductKey",
    "product_key_invalid": "iot.prod.InvalidFormattedProductkey",
    "product_name_exists": "iot.prod.AlreadyExistedProductName",
    "product_invalid": "iot.prod.CreateProductFailed",
    "product_name_invalid": "iot.prod.InvalidFormattedProductName",
    "product_limit": "iot.prod.ProductCountExceedMax",
    "thing_model_invalid": "iot.prod.UpdateProductFailed",
    "thing_model_not_found": "iot.prod.QueryProductAbilitiesFailed",
    "thing_model_version_exists": "iot.prod.UpdateProductFailed",
    "thing_model_limit": "iot.prod.UpdateProductFailed",
    "thing_model_missing": "iot.device.QueryDeviceAttrStatusFailed",
    "properties_invalid": "iot.device.SetDevicePropertyFailed",
    "span_invalid": "InvalidParameter",
    "device_not_found": "iot.device.NotExistedDevice",
    "device_exists": "iot.device.AlreadyExistedDeviceName",
    "device_name_invalid": "iot.device.InvalidFormattedDeviceName",
    "device_limit": "iot.device.DeviceCountExceeded",
    "application_not_found": "iot.device.DeviceApplyIsNotFound",
    "application_running": "iot.device.CreateDeviceTaskIsRunning",
    "application_invalid": "iot.device.IncorrectDeviceApplyInfo",
    "application_too_large": "iot.device.ApplyManyDevicesFailed",
    "tags_invalid": "iot.device.InvalidFormattedDevicePropertyKey",
    "tag_limit": "iot.device.SaveOrUpdateDevicePropertiesFailed",
    "topology_not_found": "iot.device.QueryTopoRelationFailed",
    "topology_limit": "iot.device.TopoRelationCountExceeded",
    "topology_refused": "iot.device.AddTopoRelationFailed",
    "iot_id_invalid": "iot.device.InvalidIoTId",
    "topic_class_exists": "iot.messagebroker.TopicAlreadyFound",
    "topic_class_invalid": "iot.messagebroker.InvalidFormattedTopicName",
    "topic_class_limit": "iot.messagebroker.TopicTemplateCountExceedMax",
    "topic_operation_invalid": "iot.messagebroker.InvalidTopicTemplateOperationValue",
    "page_invalid": "iot.common.InvalidPageParams",
    "instance_not_found": "iot.common.InvalidTenant",
    "instance_invalid": "InvalidParameter",
    "rotation_not_found": "iot.device.SecretRotationNotFound",
    "rotation_under_way": "iot.device.SecretRotationUnderWay",
    "request_invalid": "InvalidParameter",
    "instance_exists": "iot.common.AlreadyExistedTenant",
    "gateways_not_told": SERVICE_UNAVAILABLE,
    # auth
    "proof_invalid": "InvalidParameter",
    "access_key_unknown": "InvalidAccessKeyId.NotFound",
    "signature_mismatch": "SignatureDoesNotMatch",
    "nonce_used": "SignatureNonceUsed",
    "timestamp_expired": "InvalidTimeStamp.Expired",
    "token_invalid": "Unauthorized",
    "basic_invalid": "Unauthorized",
    "access_key_exists": "iot.accesskey.AlreadyExistedAccessKey",
    "secret_not_found": "iot.secret.NotExistedSecret",
    "secret_name_invalid": "iot.secret.InvalidFormattedSecretName",
    "store_unavailable": SERVICE_UNAVAILABLE,
    # rule-engine
    "rule_not_found": "iot.rule.NotFoundRule",
    "rule_name_exists": "iot.rule.RuleNameIsAlreadyExisted",
    "rule_name_invalid": "iot.rule.CreateRuleException",
    "rule_exists": "iot.rule.CreateRuleException",
    "rule_id_invalid": "iot.rule.IncorrentRuleId",
    "rule_description_invalid": "iot.rule.CreateRuleException",
    "data_type_unsupported": "iot.ruleng.IncorrectType",
    "sink_unreachable": "iot.ruleng.CreateRuleActionFailed",
    "rule_incomplete": "iot.rule.NullSqlForRule",
    "rule_running": "iot.ruleng.RuleAlreadyIsStarted",
    "rule_limit": "iot.rule.RuleCountExceedMax",
    "sql_invalid": "iot.messagebroker.IncorrectRuleSql",
    "topic_type_unsupported": "iot.ruleng.IncorrectType",
    "topic_unsupported": "iot.ruleng.IncorrectSysTopic",
    "topic_invalid": "iot.messagebroker.InvalidFormattedTopicName",
    "action_not_found": "iot.rule.NotFoundRuleAction",
    "dead_letter_not_found": "iot.rule.NotFoundDeadLetter",
    "dead_letters_unbounded": "InvalidParameter",
    "action_exists": "iot.rule.RuleActionIsAlreadyCreated",
    "action_type_unsupported": "iot.rule.IncorrentRuleActionType",
    "error_action_exists": "iot.ruleng.CreateRuleActionFailed",
    "action_limit": "iot.rule.TooManyRuleAction",
    "action_config_invalid": "iot.rule.ParseRuleActionConfigError",
    "table_not_found": "iot.rule.ParseRuleActionConfigError",
    "kafka_topic_not_found": "iot.rule.ParseRuleActionConfigError",
    "target_refused": "iot.rule.ParseRuleActionConfigError",
    "table_unique_missing": "iot.rule.ParseRuleActionConfigError",
    # shadow; a version that is not greater has no code of its own in the contract's list
    "shadow_message_empty": "iot.messagebroker.NullShadowMessage",
    "shadow_message_not_json": "iot.messagebroker.ShadowMessageIsNotJson",
    "shadow_too_large": "iot.messagebroker.ShadowMessageLengthIsLarge",
    "shadow_method_missing": "iot.messagebroker.NotFoundMethodInShadowMessage",
    "shadow_method_invalid": "iot.messagebroker.MethodValueIsNotUpdate",
    "shadow_state_missing": "iot.messagebroker.NotFoundStateInShadowMessage",
    "shadow_version_missing": "iot.messagebroker.NotFoundVersionOrNullVersionValue",
    "shadow_version_invalid": "iot.messagebroker.InvalidVersionValueInShadowMessage",
    "shadow_version_conflict": "iot.messagebroker.UpdateDeviceShadowMessageFailed",
    "shadow_desired_missing": "iot.messagebroker.NotFoundDesireInShadowMessage",
    "shadow_desired_null": "iot.messagebroker.DesireValueIsNullInShadowMessage",
    "shadow_desired_not_json": "iot.messagebroker.DesireInfoInShadowMessageIsNotJson",
    "shadow_desired_empty": "iot.messagebroker.NoneElementInDesire",
    "shadow_desired_value_null": "iot.messagebroker.ElementKeyOrValueIsNullInDesire",
    "shadow_too_many_desired": "iot.messagebroker.TooManyElementInDesire",
    # shadow: calls of devices
    "service_unknown": "iot.device.InvokeThingServiceFailed",
    "service_arguments_invalid": "iot.device.InvokeThingServiceFailed",
    "service_not_asynchronous": "iot.device.InvokeThingServiceFailed",
    "devices_invalid": "InvalidParameter",
    "too_many_calls": "Throttling.Api",
    "call_offline": "iot.messagebroker.OFFLINE",
    "call_timeout": "iot.messagebroker.TIMEOUT",
    "call_half_connected": "iot.messagebroker.HALFCONN",
    "call_not_sent": "iot.messagebroker.PublishMessageFailed",
    "call_refused": "iot.messagebroker.RrpcFailed",
    "answer_unreadable": "iot.messagebroker.RrpcFailed",
    # shadow: desired properties and histories
    "desired_invalid": "iot.device.InvalidFormattedDevicePropertiesString",
    "desired_version_conflict": "iot.device.DesiredPropertyVersionConflict",
    "retention_invalid": "InvalidParameter",
    # connection-gateway and shadow
    "device_invalid": "InvalidParameter",
    "broadcast_invalid": "iot.messagebroker.InvalidFormattedTopicName",
    "broadcast_too_often": "Throttling.Api",
    # ota
    "ota_request_invalid": "InvalidParameter",
    "ota_unsupported": "iot.ota.UnsupportedUpgrade",
    "firmware_not_found": "iot.ota.FirmwareNotExist",
    "package_not_found": "iot.ota.FirmwareFileNotExist",
    "package_mismatch": "iot.ota.FirmwareSignMismatch",
    "package_taken": "iot.ota.FirmwareAlreadyExist",
    "job_not_found": "iot.ota.JobNotExist",
    # any owner that cannot be reached, or lacks a part it needs
    "unavailable": SERVICE_UNAVAILABLE,
}

NULL_CODES: Mapping[str, str] = {
    "ProductKey": "iot.prod.NullProductKey",
    "ProductName": "iot.prod.NullProductName",
    "DeviceName": "iot.device.NullDeviceName",
    "ApplyId": "iot.device.NullApplyId",
    "Props": "iot.device.NullDevicePropertiesString",
    "PropKey": "iot.device.NullDevicePropertyKey",
    "TopicFullName": "iot.messagebroker.NullTopicName",
    "TopicShortName": "iot.messagebroker.NullTopicName",
    "MessageContent": "iot.messagebroker.NullMessageContent",
    "RequestBase64Byte": "iot.messagebroker.NullMessageContent",
    "Operation": "iot.messagebroker.NullTopicTemplateOperation",
    "ShadowMessage": "iot.messagebroker.NullShadowMessage",
    "RuleId": "iot.rule.IncorrentRuleId",
    "ActionId": "iot.rule.IncorrentRuleActionId",
    "Configuration": "iot.ruleng.NullRuleActionConfig",
    "Type": "iot.ruleng.NullRuleActionType",
}
"""Mandatory parameters whose absence the contract answers with a business code; the others get MissingParameter."""

SHOWN = ("position", "clause", "ddl")
"""Details of an owner's fault that a REST caller sees as members of the error."""


class Refused(Exception):
    """A call that is answered with an error. `details` become members of the REST error."""

    def __init__(self, code: str, message: str, **details: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = CODES[code]
        self.details = details

    @property
    def business(self) -> bool:
        return self.code.startswith("iot.")


def missing(parameter: str) -> Refused:
    code = NULL_CODES.get(parameter, "MissingParameter")
    return Refused(code, f'The parameter "{parameter}" is mandatory and was not supplied.', parameter=parameter)


def invalid(parameter: str, why: str) -> Refused:
    return Refused("InvalidParameter", f'The parameter "{parameter}" is not valid: {why}.', parameter=parameter)


def refused_by_owner(fault: Fault, overrides: Mapping[str, str] | None = None) -> Refused:
    """What a caller is told of an owner's fault. An unknown reason is a system exception, never an HTTP 500."""
    if isinstance(fault, RemoteFault):
        reason, away = fault.remote_reason, fault.kind == "Unavailable"
    else:
        reason, away = fault.reason, isinstance(fault, Unavailable)
    if away:
        said = fault.message if isinstance(fault, RemoteFault) and fault.message else "A part of the platform is away"
        return Refused(SERVICE_UNAVAILABLE, f"{said.rstrip('.')}; try again.")
    code = (overrides or {}).get(reason) or REASONS.get(reason)
    if code is None:
        return Refused(SYSTEM_EXCEPTION, "The platform could not perform the call.")
    position = fault.details.get("position", "")
    message = f"{fault.message} (position {position})" if position else fault.message
    return Refused(code, message, **{name: fault.details[name] for name in SHOWN if name in fault.details})
