"""Between thinghubpb.auth.v1 and the domain's values."""

from thinghub.auth.domain.access import (
    AccessKey,
    BasicProof,
    BearerProof,
    CallerProof,
    Role,
    SignatureAlgorithm,
    SignatureProof,
)
from thinghub.auth.domain.devices import DeviceId, Judgement, NewCredential, Proof, Verdict
from thinghub.auth.domain.named_secrets import ResolvedSecret
from thinghub.auth.errors import ProofInvalid, RequestInvalid
from thinghub.device_protocol.signing import SignMethod
from thinghubpb.auth.v1 import auth_pb2 as pb
from thinghubpb.device.v1 import device_pb2

_METHODS = {
    pb.SIGN_METHOD_HMAC_MD5: SignMethod.HMAC_MD5,
    pb.SIGN_METHOD_HMAC_SHA1: SignMethod.HMAC_SHA1,
    pb.SIGN_METHOD_HMAC_SHA256: SignMethod.HMAC_SHA256,
}
_VERDICTS = {
    Verdict.OK: pb.VERDICT_OK,
    Verdict.UNKNOWN_DEVICE: pb.VERDICT_UNKNOWN_DEVICE,
    Verdict.BAD_SIGNATURE: pb.VERDICT_BAD_SIGNATURE,
    Verdict.DISABLED: pb.VERDICT_DISABLED,
    Verdict.UNAVAILABLE: pb.VERDICT_UNAVAILABLE,
}
_ROLES = {
    Role.READER: pb.ROLE_READER,
    Role.OPERATOR: pb.ROLE_OPERATOR,
    Role.ADMINISTRATOR: pb.ROLE_ADMINISTRATOR,
}
_ALGORITHMS = {
    pb.SIGNATURE_ALGORITHM_HMAC_SHA1: SignatureAlgorithm.HMAC_SHA1,
    pb.SIGNATURE_ALGORITHM_ACS3_HMAC_SHA256: SignatureAlgorithm.ACS3_HMAC_SHA256,
}


def device(message: device_pb2.DeviceId) -> DeviceId:
    return DeviceId(message.product_key, message.device_name)


def proof(message: pb.DeviceProof) -> Proof:
    return Proof(device(message.device), _METHODS.get(message.sign_method), message.signed_content, message.password)


def judgement(value: Judgement) -> pb.AuthenticatedDevice:
    return pb.AuthenticatedDevice(verdict=_VERDICTS[value.verdict], iot_id=value.iot_id, version=value.version)


def new_credential(message: pb.DeviceCredential) -> NewCredential:
    return NewCredential(device(message.device), message.iot_id, message.device_secret, message.disabled)


def credential_message(value: NewCredential) -> pb.DeviceCredential:
    return pb.DeviceCredential(
        device=device_pb2.DeviceId(product_key=value.device.product_key, device_name=value.device.device_name),
        iot_id=value.iot_id,
        device_secret=value.secret,
        disabled=value.disabled,
    )


def caller_proof(message: pb.VerifyCallerRequest) -> CallerProof:
    """Raises ProofInvalid."""
    kind = message.WhichOneof("proof")
    if kind == "signature":
        return _signature(message.signature)
    if kind == "basic":
        return BasicProof(message.basic.access_key_id, message.basic.access_key_secret)
    if kind == "bearer":
        return BearerProof(message.bearer.token)
    raise ProofInvalid("the call carries no proof")


def _signature(message: pb.SignatureProof) -> SignatureProof:
    algorithm = _ALGORITHMS.get(message.algorithm)
    if algorithm is None:
        raise ProofInvalid("the signature algorithm is not served")
    return SignatureProof(
        algorithm,
        message.access_key_id,
        message.string_to_sign,
        message.signature,
        message.nonce,
        message.timestamp_ms,
    )


def role(message: "pb.Role.ValueType") -> Role:
    for value, code in _ROLES.items():
        if code == message:
            return value
    raise RequestInvalid("the role is administrator, operator or reader")


def role_message(value: Role) -> "pb.Role.ValueType":
    return _ROLES[value]


def access_key_message(key: AccessKey) -> pb.AccessKey:
    return pb.AccessKey(
        access_key_id=key.id,
        role=_ROLES[key.role],
        instance_id=key.instance_id,
        created_ms=key.created_ms,
        description=key.description,
    )


def resolved_message(value: ResolvedSecret | None) -> pb.ResolvedSecret:
    return pb.ResolvedSecret(found=True, value=value.value, version=value.version) if value else pb.ResolvedSecret()
