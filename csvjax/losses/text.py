"""Reads the text to score: a document from each file, or from each line of a JSONL file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csvjax.errors import InputError
from csvjax.objects import Bucket, address, open_bucket

__all__ = ["Document", "read_text"]

_STARTS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x04\x22\x4d\x18": "LZ4",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "Parquet",
    b"%PDF-": "PDF",
}
_LOST_LIMIT = 0.3  # share of invalid characters; with more it is text in another encoding, or no text


@dataclass(frozen=True)
class Document:
    """A text with a name and a domain. `replaced`: number of characters that were not valid UTF-8 and became U+FFFD."""

    domain: str
    name: str
    text: str
    replaced: int = 0


def read_text(sources: Sequence[str]) -> tuple[Document, ...]:
    """Read the documents of files and folders, in the given order.

    A file is one document. A .jsonl file has a document on each line: an object with `text`, and optionally `name` (or
    `id`) and `domain`. A folder stands for all its files except hidden ones. Line ends do not change. Bytes that are
    not valid UTF-8 become U+FFFD and are counted.

    Args:
        sources: paths or addresses in an object store, or DOMAIN=PATH. The default domain is the name of the folder, or
            of the file.

    Raises: InputError for a path that does not exist, a compressed or binary file, a line without such an object, and a
    repeated document.
    """
    documents = [document for source in sources for document in _source(source)]
    seen: dict[str, Document] = {}
    for document in documents:
        if document.name in seen:
            raise InputError(
                f"expected each document once, found {document.name!r} twice; rename one, or remove it from --text"
            )
        seen[document.name] = document
    if not documents:
        raise InputError(f"expected at least one document in {', '.join(sources)}, found none; give files with text")
    return tuple(documents)


def _source(source: str) -> Iterator[Document]:
    domain, separator, rest = source.partition("=")
    if not separator or Path(source).exists():
        domain, rest = "", source
    if (url := address(rest)) is not None:
        yield from _objects(url, domain)
        return
    path = Path(rest).expanduser()
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        home = path.resolve()
        for file in files:
            yield from _file(file, domain or home.name, f"{home.name}/{file.relative_to(path).as_posix()}")
    elif path.is_file():
        yield from _file(path, domain or path.name.removesuffix(path.suffix), path.name)
    else:
        raise InputError(f"expected a file or folder of text at {path}, found nothing there; check the path")


def _objects(url: str, domain: str) -> Iterator[Document]:
    """The documents of an object, or of all objects below a folder, as of a file and of a folder."""
    home, _, last = url.rpartition("/")
    bucket = open_bucket(url)
    names = [name for name in bucket.names() if not any(part.startswith(".") for part in name.split("/"))]
    for name in names:
        yield from _content(f"{url}/{name}", _got(bucket, name), domain or last, f"{last}/{name}")
    if not names:
        yield from _content(url, _got(open_bucket(home), last), domain or last.removesuffix(Path(last).suffix), last)


def _got(bucket: Bucket, name: str) -> bytes:
    found = bucket.get(name)
    if found is None:
        raise InputError(f"expected an object or a folder of text at {bucket.url}/{name}, found nothing; check it")
    return found[0]


def _file(path: Path, domain: str, name: str) -> Iterable[Document]:
    return _content(str(path), path.read_bytes(), domain, name)


def _content(path: str, raw: bytes, domain: str, name: str) -> Iterable[Document]:
    """The documents of a file or object with these bytes."""
    _check_text(path, raw)
    if not path.endswith(".jsonl"):
        return [_document(domain, name, raw)]
    return [_line(path, number, line, domain, name) for number, line in enumerate(raw.split(b"\n"), 1) if line.strip()]


def _check_text(path: str, raw: bytes) -> None:
    """Refuse binary and compressed files, whose losses would be numbers without meaning."""
    kind = next((name for start, name in _STARTS.items() if raw.startswith(start)), None)
    if kind is None and b"\0" in raw:
        kind = "zero bytes, as in binary files and UTF-16"
    if kind is None:
        text = raw.decode(errors="replace")
        lost = text.count("\ufffd") - raw.count("\ufffd".encode())
        if lost > _LOST_LIMIT * len(text):
            kind = f"{lost:,} invalid characters among {len(text):,}"
    if kind is not None:
        raise InputError(
            f"expected text in UTF-8 in {path}, found {kind}; unpack or convert it, or remove it from --text"
        )


def _document(domain: str, name: str, raw: bytes) -> Document:
    text = raw.decode(errors="replace")
    # A U+FFFD that the text already has was not replaced.
    return Document(domain, name, text, text.count("\ufffd") - raw.count("\ufffd".encode()))


def _line(path: str, number: int, line: bytes, domain: str, file: str) -> Document:
    try:
        found = json.loads(line)
        text = found["text"]
        name = found.get("name", found.get("id", f"{file}:{number}"))
        if not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path}, line {number}: expected a JSON object with a string as text, found {line[:40]!r}; correct it"
        ) from None
    # JSON can contain a lone surrogate, which UTF-8 cannot.
    clean = text.encode(errors="surrogatepass").decode(errors="replace")
    return Document(str(found.get("domain", domain)), str(name), clean, clean.count("\ufffd") - text.count("\ufffd"))
