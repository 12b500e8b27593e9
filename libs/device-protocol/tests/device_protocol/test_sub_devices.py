import orjson
import pytest

from thinghub.device_protocol.connect import signed_content
from thinghub.device_protocol.signing import SignMethod, sign, verify
from thinghub.device_protocol.sub_devices import (
    MAX_BATCH,
    MalformedSubDevice,
    SubDeviceName,
    SubDeviceProof,
    read_names,
    read_proofs,
)

SECRET = "secret"
ENTRY = {"productKey": "pk", "deviceName": "dn", "clientId": "12345", "timestamp": "789", "sign": "aa"}
# As a gateway built on the Python SDK sends it: the whole client id is signed.
PYTHON_CLIENT_ID = "pk.dn|lan=Python,_v=2.2.1,_ss=1|"


def read_one(**members: object) -> SubDeviceProof:
    (proof,) = read_proofs({**ENTRY, **members})
    return proof


@pytest.mark.parametrize("member", ["signMethod", "signmethod"])
@pytest.mark.parametrize(
    ("written", "method"),
    [
        ("hmacSha256", SignMethod.HMAC_SHA256),
        ("hmacsha256", SignMethod.HMAC_SHA256),
        ("hmacSha1", SignMethod.HMAC_SHA1),
        ("hmacsha1", SignMethod.HMAC_SHA1),
        ("HMACSHA1", SignMethod.HMAC_SHA1),
        ("hmacMd5", SignMethod.HMAC_MD5),
        (" hmacmd5\n", SignMethod.HMAC_MD5),
    ],
)
def test_the_sign_method_may_be_written_in_any_case_under_either_name(
    member: str, written: str, method: SignMethod
) -> None:
    assert read_one(**{member: written}).sign_method is method


def test_without_a_sign_method_it_is_hmacmd5_as_in_a_connect() -> None:
    assert read_one().sign_method is SignMethod.HMAC_MD5


@pytest.mark.parametrize(("written", "read"), [("789", "789"), (789, "789"), (1524448722000, "1524448722000")])
def test_a_timestamp_is_text_or_a_number(written: object, read: str) -> None:
    assert read_one(timestamp=written).timestamp == read


def test_the_signature_covers_what_the_reference_vector_covers() -> None:
    proof = read_one(timestamp=789, signmethod="hmacSha1", sign="FAFD82A3D602B37FB0FA8B7892F24A477F851A14")
    content = signed_content(SubDeviceProof("pk", "device", "12345", SignMethod.HMAC_SHA1, "789", True, proof.password))
    assert content == b"clientId12345deviceNamedeviceproductKeypktimestamp789"
    assert verify(SignMethod.HMAC_SHA1, SECRET, content, proof.password)


def test_the_whole_client_id_is_signed() -> None:
    content = f"clientId{PYTHON_CLIENT_ID}deviceNamednproductKeypktimestamp789".encode()
    proof = read_one(
        clientId=PYTHON_CLIENT_ID, signMethod="hmacSha256", sign=sign(SignMethod.HMAC_SHA256, "s", content)
    )
    assert signed_content(proof) == content
    assert verify(proof.sign_method, "s", signed_content(proof), proof.password)


def test_without_a_timestamp_the_signature_covers_none() -> None:
    (proof,) = read_proofs({name: value for name, value in ENTRY.items() if name != "timestamp"})
    assert signed_content(proof) == b"clientId12345deviceNamednproductKeypk"


def test_a_batch_has_one_sign_method_and_an_entry_may_have_its_own() -> None:
    entries = [ENTRY, {**ENTRY, "deviceName": "dn2", "signmethod": "hmacmd5"}]
    first, second = read_proofs({"signMethod": "hmacSha256", "deviceList": entries})
    assert (first.sign_method, second.sign_method) == (SignMethod.HMAC_SHA256, SignMethod.HMAC_MD5)
    assert (first.name, second.name) == (SubDeviceName("pk", "dn"), SubDeviceName("pk", "dn2"))


def test_a_topology_addition_is_a_list() -> None:
    assert [proof.device_name for proof in read_proofs([ENTRY, {**ENTRY, "deviceName": "dn2"}])] == ["dn", "dn2"]


@pytest.mark.parametrize(
    ("written", "clean"),
    [("true", True), ("false", False), ("False", False), (True, True), (False, False), (None, True), (1, True)],
)
def test_clean_session_is_text_or_a_truth_value(written: object, clean: bool) -> None:
    assert read_one(cleanSession=written).clean is clean


@pytest.mark.parametrize(
    "params", [{"productKey": "pk", "deviceName": "dn"}, [{"productKey": "pk", "deviceName": "dn"}]]
)
def test_a_log_out_names_one_or_a_list(params: object) -> None:
    assert read_names(params) == [SubDeviceName("pk", "dn")]


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        "pk",
        7,
        [None],
        {"deviceList": []},
        {"deviceList": "dn"},
        {"deviceList": [ENTRY] * (MAX_BATCH + 1)},
        {**ENTRY, "productKey": ""},
        {**ENTRY, "productKey": 1},
        {**ENTRY, "deviceName": "a/b"},
        {**ENTRY, "deviceName": "a{b}"},
        {**ENTRY, "deviceName": "x" * 65},
        {**ENTRY, "clientId": ""},
        {**ENTRY, "clientId": "x" * 257},
        {**ENTRY, "clientId": 5},
        {**ENTRY, "timestamp": 1.5},
        {**ENTRY, "timestamp": True},
        {**ENTRY, "timestamp": "1" * 33},
        {**ENTRY, "sign": None},
        {**ENTRY, "sign": "a" * 129},
        {**ENTRY, "signMethod": "sha256"},
        {**ENTRY, "signMethod": 5},
    ],
)
def test_what_is_no_proof_is_malformed(params: object) -> None:
    with pytest.raises(MalformedSubDevice):
        read_proofs(params)


def test_a_proof_does_not_print_its_signature() -> None:
    assert "verysecret" not in repr(read_one(sign="verysecret"))


def test_what_came_over_the_wire_is_read() -> None:
    wire = b'{"signMethod":"hmacSha256","deviceList":[{"productKey":"pk","deviceName":"dn","clientId":"c","sign":"s"}]}'
    assert read_proofs(orjson.loads(wire))[0].sign_method is SignMethod.HMAC_SHA256
