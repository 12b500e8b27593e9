"""Forms as clients of the object store post them, cut anywhere."""

import pytest

from thinghub.ota.domain.multipart import MAX_FIELDS, FormReader, MalformedForm, boundary_of

FILE = b"first\r\n--not the boundary\r\n" + bytes(range(256)) * 20 + b"\r\n"


def field(name: str, value: str) -> bytes:
    return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_part(content: bytes) -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\n'
    return head + content + b"\r\n--B--\r\n"


BODY = field("key", "ota/x") + field("empty", "") + field("Signature", "a=b") + file_part(FILE)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, len(BODY)])
def test_a_form_is_the_same_however_it_is_cut(size: int) -> None:
    form = FormReader(b"B")
    data = b"".join(form.feed(BODY[start : start + size]) for start in range(0, len(BODY), size))
    assert data == FILE
    assert form.done
    assert form.fields == {"key": "ota/x", "empty": "", "signature": "a=b"}


def test_an_empty_file_and_a_preamble() -> None:
    form = FormReader(b"B")
    assert form.feed(b"preamble\r\n" + field("k", "v") + file_part(b"")) == b""
    assert form.done
    assert form.fields == {"k": "v"}


def test_a_form_cut_off_is_not_done() -> None:
    form = FormReader(b"B")
    form.feed(BODY[:-12])
    assert form.in_file
    assert not form.done


@pytest.mark.parametrize(
    "body",
    [
        field("k", "v") + b"--B--\r\n" + b" " * 10,
        field("k", "v").replace(b"\r\n--", b"") + b"--B--\r\n" * 2 + field("k", "v" * MAX_FIELDS),
        b"x" * 10_000,
        b"--B\r\n" + b"x" * 10_000,
        b"--B\r\nContent-Disposition: form-data\r\n\r\nv\r\n--B--\r\n",
        b"".join(field(f"k{number}", "v" * 1000) for number in range(70)),
    ],
    ids=["no file", "field too long", "no boundary", "head too long", "no name", "too many fields"],
)
def test_other_bodies_are_malformed(body: bytes) -> None:
    form = FormReader(b"B")
    with pytest.raises(MalformedForm):
        form.feed(body)


def test_the_boundary_is_read_as_clients_write_it() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    for wrong in ("", "text/plain; boundary=a", "multipart/form-data"):
        with pytest.raises(MalformedForm):
            boundary_of(wrong)
