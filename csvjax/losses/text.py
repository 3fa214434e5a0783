"""Text to score, from files: one document each, or a line of JSON for each document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from csvjax.errors import InputError

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
_MOST_LOST = 0.3  # of the characters: text of another encoding, or none


@dataclass(frozen=True)
class Document:
    """A named text of a domain; `replaced`: how many of its bytes were no UTF-8 and are U+FFFD now."""

    domain: str
    name: str
    text: str
    replaced: int = 0


def read_text(sources: Sequence[str]) -> tuple[Document, ...]:
    """The documents of files and folders, in the order given.

    A source is a path, or DOMAIN=PATH. A file is one document, and its domain, where none is given, the name of the
    folder that was named, or of the file itself. A file .jsonl has a document on each line, an object with `text` and
    perhaps `name` (or `id`) and `domain`. A folder is all files in it, hidden ones left out. Line ends are kept as they
    are; bytes that are no UTF-8 become U+FFFD, and are counted.
    Raises: InputError for a path that is not there, a compressed or binary file, a line that is no such object, and the
    same document twice.
    """
    documents = [document for source in sources for document in _source(source)]
    seen: dict[str, Document] = {}
    for document in documents:
        if document.name in seen:
            raise InputError(
                f"expected each document once, found {document.name!r} twice; rename one, or leave it out of --text"
            )
        seen[document.name] = document
    if not documents:
        raise InputError(f"expected at least one document in {', '.join(sources)}, found none; name files with text")
    return tuple(documents)


def _source(source: str) -> Iterator[Document]:
    domain, separator, rest = source.partition("=")
    if not separator or Path(source).exists():
        domain, rest = "", source
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


def _file(path: Path, domain: str, name: str) -> Iterable[Document]:
    raw = path.read_bytes()
    _check_text(path, raw)
    if path.suffix != ".jsonl":
        return [_document(domain, name, raw)]
    return [_line(path, number, line, domain, name) for number, line in enumerate(raw.split(b"\n"), 1) if line.strip()]


def _check_text(path: Path, raw: bytes) -> None:
    """The losses of a compressed file would be numbers too."""
    kind = next((name for start, name in _STARTS.items() if raw.startswith(start)), None)
    if kind is None and b"\0" in raw:
        kind = "bytes of 0, as binary files and UTF-16 have them"
    if kind is None:
        text = raw.decode(errors="replace")
        lost = text.count("\ufffd") - raw.count("\ufffd".encode())
        if lost > _MOST_LOST * len(text):
            kind = f"{lost:,} of {len(text):,} characters that are none"
    if kind is not None:
        raise InputError(
            f"expected text in UTF-8 in {path}, found {kind}; unpack or convert it, or leave it out of --text"
        )


def _document(domain: str, name: str, raw: bytes) -> Document:
    text = raw.decode(errors="replace")
    # A U+FFFD that was there already is no replacement.
    return Document(domain, name, text, text.count("\ufffd") - raw.count("\ufffd".encode()))


def _line(path: Path, number: int, line: bytes, domain: str, file: str) -> Document:
    try:
        found = json.loads(line)
        text = found["text"]
        name = found.get("name", found.get("id", f"{file}:{number}"))
        if not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"expected a JSON object with a string as text in line {number} of {path}, found {line[:40]!r}; "
            "mend the line"
        ) from None
    # A lone surrogate, which JSON can hold, is in no UTF-8.
    clean = text.encode(errors="surrogatepass").decode(errors="replace")
    return Document(str(found.get("domain", domain)), str(name), clean, clean.count("\ufffd") - text.count("\ufffd"))
