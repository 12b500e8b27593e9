"""Faults that device-registry raises; `reason` is what the API maps to the contract's codes."""

from thinghub.common.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


class StoreUnavailable(Unavailable):
    reason = "store_unavailable"


class NotTold(Unavailable):
    """The change is stored, but the gateways could not be told at once: repeat the call."""

    reason = "gateways_not_told"


class RequestInvalid(InvalidArgument):
    reason = "request_invalid"


class InstanceNotFound(NotFound):
    reason = "instance_not_found"


class InstanceExists(AlreadyExists):
    reason = "instance_exists"


class InstanceInvalid(InvalidArgument):
    reason = "instance_invalid"


class ProductNotFound(NotFound):
    reason = "product_not_found"


class ProductExists(AlreadyExists):
    """The given product key is taken."""

    reason = "product_exists"


class ProductNameExists(AlreadyExists):
    reason = "product_name_exists"


class ProductNameInvalid(InvalidArgument):
    reason = "product_name_invalid"


class ProductKeyInvalid(InvalidArgument):
    reason = "product_key_invalid"


class ProductInvalid(InvalidArgument):
    """Another member of a product is out of range; details name it (`member`)."""

    reason = "product_invalid"


class ProductLimit(ResourceExhausted):
    reason = "product_limit"


class ProductHasDevices(FailedPrecondition):
    reason = "product_has_devices"


class DeviceNotFound(NotFound):
    reason = "device_not_found"


class DeviceExists(AlreadyExists):
    reason = "device_exists"


class DeviceNameInvalid(InvalidArgument):
    reason = "device_name_invalid"


class TagsRejected(InvalidArgument):
    reason = "tags_invalid"


class TagLimit(ResourceExhausted):
    reason = "tag_limit"


class ApplicationNotFound(NotFound):
    reason = "application_not_found"


class ApplicationRunning(FailedPrecondition):
    reason = "application_running"


class ApplicationInvalid(InvalidArgument):
    """The application is another product's."""

    reason = "application_invalid"


class ApplicationTooLarge(InvalidArgument):
    reason = "application_too_large"


class IotIdInvalid(InvalidArgument):
    reason = "iot_id_invalid"


class TopicClassInvalid(InvalidArgument):
    reason = "topic_class_invalid"


class TopicOperationInvalid(InvalidArgument):
    reason = "topic_operation_invalid"


class TopicClassExists(AlreadyExists):
    reason = "topic_class_exists"


class TopicClassLimit(ResourceExhausted):
    reason = "topic_class_limit"


class PageInvalid(InvalidArgument):
    reason = "page_invalid"


class ThingModelInvalid(InvalidArgument):
    """The TSL cannot be; `position` in the details is the JSON path of the first fault."""

    reason = "thing_model_invalid"


class ThingModelNotFound(NotFound):
    """No such version, no such module, or nothing was published."""

    reason = "thing_model_not_found"


class ThingModelVersionExists(AlreadyExists):
    reason = "thing_model_version_exists"


class ThingModelLimit(ResourceExhausted):
    reason = "thing_model_limit"


class TopologyNotFound(NotFound):
    """The device stands behind no gateway."""

    reason = "topology_not_found"


class TopologyLimit(ResourceExhausted):
    reason = "topology_limit"


class TopologyRefused(FailedPrecondition):
    """The devices cannot be gateway and sub-device of each other, or a sign is wrong."""

    reason = "topology_refused"
