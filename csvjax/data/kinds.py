"""Recognises kinds of files by their first bytes, and unpacks and decodes text within limits."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from csvjax.errors import InputError

__all__ = ["decode", "is_packed", "refuse_binary", "unpack"]

UNPACKED_LIMIT = 128 << 20  # bytes of an unpacked file

_BINARY = {
    b"BZh": ("a bzip2 file", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("an xz file", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unpack it with unzstd"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it and give a file of it"),
    b"PK\x03\x04": ("a zip archive", "unpack it and give a file of it"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", "save it as .xlsx or CSV"),
    b"\x89HDF": ("an HDF5 file", "write the table as CSV or parquet"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"%PDF": ("a PDF", "copy the table into a CSV file"),
    b"\x93NUMPY": ("a NumPy array", "write a table with names as CSV or parquet"),
    b"\x80\x02": ("a Python pickle", "write the table as CSV or parquet"),
    b"\x80\x03": ("a Python pickle", "write the table as CSV or parquet"),
    b"\x80\x04": ("a Python pickle", "write the table as CSV or parquet"),
    b"\x80\x05": ("a Python pickle", "write the table as CSV or parquet"),
    b"Obj\x01": ("an Avro file", "write the table as CSV or parquet"),
    b"ORC": ("an ORC file", "write the table as CSV or parquet"),
    b"\x89PNG": ("a PNG image", "type the table into a CSV file"),
    b"\xff\xd8\xff": ("a JPEG image", "type the table into a CSV file"),
}


def is_packed(data: bytes) -> bool:
    """Whether these are the bytes of a gzip file."""
    return data[:2] == b"\x1f\x8b"


def unpack(path: Path | str, data: bytes) -> bytes:
    """The content of a gzip file.

    Raises: InputError for a damaged file, and for one that is larger than `UNPACKED_LIMIT` once unpacked.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(UNPACKED_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: expected a whole gzip file, found one that cannot be read ({error}); write it again"
        ) from None
    if len(found) > UNPACKED_LIMIT:
        raise InputError(
            f"{path}: expected at most {UNPACKED_LIMIT >> 20} MiB in the gzip file, found more; write the "
            f"table as parquet"
        )
    if is_packed(found):
        raise InputError(f"{path}: expected a table in the gzip file, found another gzip file; unpack it once")
    return found


def refuse_binary(path: Path | str, data: bytes) -> None:
    """Refuse files of known kinds that do not contain a table for csvjax.

    Raises: InputError that names the kind of file and what to do.
    """
    for start, (what, remedy) in _BINARY.items():
        if data.startswith(start):
            raise InputError(f"{path} is {what}, expected a table such as CSV, parquet or .xlsx; {remedy}")


def decode(path: Path | str, data: bytes) -> str:
    """Decode text in UTF-8, or in UTF-16 with a byte order mark as Excel writes it.

    Raises: InputError for another encoding, and for bytes that are not text.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: expected text in UTF-16 as its first bytes say, found an incomplete character; save the "
                f"table as CSV in UTF-8"
            ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected text in UTF-8 or parquet, found byte 0x{data[error.start]:02x} at {error.start}; "
            f"save the table as CSV in UTF-8"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path}: expected text, found a zero byte at {text.index(chr(0))}; check that this is the right file"
        )
    return text
