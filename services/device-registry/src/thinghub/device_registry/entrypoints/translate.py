"""Between thinghubpb.registry.v1 and the domain's values."""

from thinghub.device_registry.domain.applications import Reason, Refusal, State, Wanted
from thinghub.device_registry.domain.devices import Device, DeviceId, DeviceRef, Presence
from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.domain.products import Instance, LimitMode, Limits, Product
from thinghub.device_registry.domain.topic_classes import Operation, TopicClass
from thinghub.device_registry.errors import TopicOperationInvalid
from thinghub.device_registry.ports.store import CountedProduct
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb

_MODES = {LimitMode.ENFORCE: pb.Limits.MODE_ENFORCE, LimitMode.OBSERVE: pb.Limits.MODE_OBSERVE}
_OPERATIONS = {
    Operation.PUB: pb.OPERATION_PUB,
    Operation.SUB: pb.OPERATION_SUB,
    Operation.ALL: pb.OPERATION_ALL,
}
_REASONS = {
    Reason.NAME: pb.RefusedDevice.REASON_NAME,
    Reason.NICKNAME: pb.RefusedDevice.REASON_NICKNAME,
    Reason.SECRET: pb.RefusedDevice.REASON_SECRET,
    Reason.SN: pb.RefusedDevice.REASON_SN,
    Reason.REPEATED: pb.RefusedDevice.REASON_REPEATED,
}
STATES = {
    State.CHECKED: pb.GetApplicationResponse.STATE_CHECKED,
    State.RUNNING: pb.GetApplicationResponse.STATE_RUNNING,
    State.DONE: pb.GetApplicationResponse.STATE_DONE,
    State.FAILED: pb.GetApplicationResponse.STATE_FAILED,
}
PRESENCES = {
    pb.DEVICE_STATUS_UNACTIVE: Presence.UNACTIVE,
    pb.DEVICE_STATUS_ONLINE: Presence.ONLINE,
    pb.DEVICE_STATUS_OFFLINE: Presence.OFFLINE,
    pb.DEVICE_STATUS_DISABLED: Presence.DISABLED,
}
_NAMED_OPERATIONS = {code: operation for operation, code in _OPERATIONS.items()}


def instance_message(instance: Instance) -> pb.Instance:
    return pb.Instance(instance_id=instance.id, name=instance.name, created_ms=instance.created_ms)


def limits(message: pb.Limits) -> Limits:
    return Limits(
        LimitMode.OBSERVE if message.mode == pb.Limits.MODE_OBSERVE else LimitMode.ENFORCE,
        message.up_qos0_per_second,
        message.up_qos1_per_second,
        message.down_per_second,
        message.bytes_per_second,
        message.subscriptions,
        message.drop_qos1,
    )


def limits_message(value: Limits) -> pb.Limits:
    return pb.Limits(
        mode=_MODES[value.mode],
        up_qos0_per_second=value.up_qos0_per_second,
        up_qos1_per_second=value.up_qos1_per_second,
        down_per_second=value.down_per_second,
        bytes_per_second=value.bytes_per_second,
        subscriptions=value.subscriptions,
        drop_qos1=value.drop_qos1,
    )


def product(message: pb.Product) -> Product:
    """Of a product to create. Where 0 is "not given" in proto3 and not a value of the contract, it is the default."""
    return Product(
        key=message.product_key,
        instance_id=message.instance_id,
        name=message.name,
        description=message.description,
        node_type=message.node_type,
        data_format=message.data_format,
        auth_type=message.auth_type or "secret",
        net_type=message.net_type,
        protocol_type=message.protocol_type,
        category_key=message.category_key,
        commodity_code=message.commodity_code,
        validate_type=message.validate_type,
        id2=message.id2,
        lane=message.lane,
        not_stored=message.not_stored,
        limits=limits(message.limits),
    )


def product_message(value: Product, devices: int = 0, secret: str = "") -> pb.Product:
    return pb.Product(
        product_key=value.key,
        instance_id=value.instance_id,
        name=value.name,
        description=value.description,
        node_type=value.node_type,
        data_format=value.data_format,
        auth_type=value.auth_type,
        net_type=value.net_type,
        protocol_type=value.protocol_type,
        category_key=value.category_key,
        commodity_code=value.commodity_code,
        validate_type=value.validate_type,
        id2=value.id2,
        created_ms=value.created_ms,
        device_count=devices,
        product_secret=secret,
        lane=value.lane,
        not_stored=value.not_stored,
        limits=limits_message(value.limits),
        status=value.status,
    )


def counted_message(counted: CountedProduct) -> pb.Product:
    return product_message(counted.product, counted.devices)


def ref(message: pb.DeviceRef) -> DeviceRef:
    device = DeviceId(message.device.product_key, message.device.device_name)
    return DeviceRef(message.iot_id, device)


def device_message(value: Device, secret: str = "") -> pb.Device:
    return pb.Device(
        device=device_pb2.DeviceId(product_key=value.id.product_key, device_name=value.id.device_name),
        iot_id=value.iot_id,
        nickname=value.nickname,
        disabled=value.disabled,
        created_ms=value.created_ms,
        modified_ms=value.modified_ms,
        activated_ms=value.status.activated_ms,
        last_online_ms=value.status.last_online_ms,
        online=value.status.online,
        client_address=value.status.client_address,
        epoch=value.status.epoch,
        device_secret=secret,
        product_name=value.product_name,
        node_type=value.node_type,
        instance_id=value.instance_id,
        sn=value.sn,
    )


def wanted(message: pb.WantedDevice) -> Wanted:
    return Wanted(message.device_name, message.nickname, message.sn, message.device_secret)


def refused_message(value: Refusal) -> pb.RefusedDevice:
    return pb.RefusedDevice(
        reason=_REASONS[value.reason],
        message=value.message,
        device_name=value.wanted.device_name,
        nickname=value.wanted.nickname,
        sn=value.wanted.sn,
    )


def topic_class(message: pb.TopicClass) -> TopicClass:
    """Raises TopicOperationInvalid."""
    operation = _NAMED_OPERATIONS.get(message.operation)
    if operation is None:
        raise TopicOperationInvalid("the operation is PUB, SUB or ALL")
    return TopicClass(
        message.topic_id,
        message.product_key,
        message.short_name,
        operation,
        message.description,
        message.codec,
        message.proxy_subscribe,
    )


def topic_class_message(value: TopicClass) -> pb.TopicClass:
    return pb.TopicClass(
        topic_id=value.id,
        product_key=value.product_key,
        short_name=value.short_name,
        operation=_OPERATIONS[value.operation],
        description=value.description,
        codec=value.codec,
        proxy_subscribe=value.proxy_subscribe,
    )


def policy_message(value: Policy) -> pb.ProductPolicy:
    if not value.found:
        return pb.ProductPolicy(found=False, product_key=value.product_key, version=value.version)
    return pb.ProductPolicy(
        found=True,
        product_key=value.product_key,
        version=value.version,
        instance_id=value.instance_id,
        lane=value.lane,
        not_stored=value.not_stored,
        node_type=value.node_type,
        topic_classes=map(topic_class_message, value.topic_classes),
        limits=limits_message(value.limits),
    )
