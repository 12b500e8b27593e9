"""multipart/form-data (RFC 7578) as bytes in, events out; no socket, no file.

    --b CRLF headers CRLF CRLF data CRLF --b CRLF ... CRLF --b--

A form is small fields and then one part named `file`, whose data is given out as it arrives; what follows that part is
not read, as object stores do. Bounds: a part's headers 8 KiB, all the fields together 64 KiB.
"""

import re
from dataclasses import dataclass, field

MAX_HEAD = 8 * 1024
MAX_FIELDS = 64 * 1024
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb';\s*name="((?:[^"\\]|\\.)*)"|;\s*name=([^\s;"]+)', re.IGNORECASE)


class MalformedForm(ValueError):
    """The body is no such form."""


def boundary_of(content_type: str) -> bytes:
    """Raises MalformedForm."""
    kind, _, parameters = content_type.partition(";")
    found = _BOUNDARY.search(parameters)
    if kind.strip().lower() != "multipart/form-data" or found is None:
        raise MalformedForm("the body is not multipart/form-data with a boundary")
    return (found[1] or found[2]).encode("latin-1")


@dataclass
class FormReader:
    """`feed` gives the bytes of the file that are sure; `fields` is whole once `in_file`, names in lower case."""

    boundary: bytes
    fields: dict[str, str] = field(default_factory=dict)
    in_file: bool = False
    done: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _seen: int = 0
    _started: bool = False

    def feed(self, data: bytes) -> bytes:
        """Raises MalformedForm."""
        if self.done:
            return b""
        self._buffer += data
        while not self.in_file:
            if not (self._next_part() if self._started else self._start()):
                if self._seen + len(self._buffer) > MAX_FIELDS:
                    raise MalformedForm("the fields of the form are too long")
                return b""
        return self._file_data()

    def _start(self) -> bool:
        """Drops what stands before the first boundary."""
        opening = b"--" + self.boundary + b"\r\n"
        found = self._buffer.find(opening)
        if found < 0 and len(self._buffer) > MAX_HEAD:
            raise MalformedForm("the boundary does not come")
        if found < 0:
            return False
        if found and self._buffer[found - 2 : found] != b"\r\n":
            raise MalformedForm("the boundary does not begin a line")
        del self._buffer[: found + len(opening)]
        self._started = True
        return True

    def _next_part(self) -> bool:
        """Reads a part's head, and its data unless it is the file; False when there is not enough yet."""
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0 and len(self._buffer) > MAX_HEAD:
            raise MalformedForm("the head of a part is too long")
        if head_end < 0:
            return False
        name = _part_name(bytes(self._buffer[:head_end]))
        if name == "file":
            del self._buffer[: head_end + 4]
            self.in_file = True
            return True
        delimiter = b"\r\n--" + self.boundary
        end = self._buffer.find(delimiter, head_end + 4)
        after = end + len(delimiter)
        if end < 0 or len(self._buffer) < after + 2:
            return False
        if self._buffer[after : after + 2] != b"\r\n":
            raise MalformedForm("the form has no part named file")
        self.fields[name] = bytes(self._buffer[head_end + 4 : end]).decode("utf-8", "replace")
        self._seen += end
        if self._seen > MAX_FIELDS:
            raise MalformedForm("the fields of the form are too long")
        del self._buffer[: after + 2]
        return True

    def _file_data(self) -> bytes:
        """Up to the delimiter; before it is seen, all but what could be its beginning."""
        delimiter = b"\r\n--" + self.boundary
        end = self._buffer.find(delimiter)
        if end >= 0:
            sure = bytes(self._buffer[:end])
            self.done = True
            self._buffer.clear()
            return sure
        keep = len(delimiter) - 1
        sure = bytes(self._buffer[:-keep]) if len(self._buffer) > keep else b""
        del self._buffer[: len(sure)]
        return sure


def _part_name(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition" and (found := _NAME.search(value)):
            return (found[1] if found[1] is not None else found[2]).decode("utf-8", "replace").lower()
    raise MalformedForm("a part has no name")
