"""The sources of the text of the ladder: packages that can be installed, and how they are read as plain text."""

from __future__ import annotations

import ast
import gzip
import html.parser
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from csvjax.errors import InputError

__all__ = ["DEBIAN", "STDLIB", "Source", "fetch", "read"]


@dataclass(frozen=True)
class Source:
    """A package with text. `pattern` matches its files below `root`; `reader` turns a file into plain text."""

    domain: str
    package: str
    pattern: str
    reader: str
    licence: str
    root: str = "debian"
    largest_file: int = 400_000  # bytes; larger files are change logs or character tables, for example


# Packages of Debian 12, with the licences in their copyright files.
DEBIAN = (
    Source("english", "anarchism", "usr/share/doc/anarchism/html/*.html", "html", "GPL-2"),
    Source("code", "libpython3.11-stdlib", "usr/lib/python3.11/**/*.py", "plain", "PSF-2.0"),
    Source("code", "libpython3.11-testsuite", "usr/lib/python3.11/**/*.py", "plain", "PSF-2.0"),
    Source("docs", "python3.11-doc", "usr/share/doc/python3.11/html/_sources/**/*.rst.txt", "plain", "PSF-2.0"),
    Source("german", "manpages-de", "usr/share/man/de/man*/*.gz", "roff", "GPL-3+"),
)

# Text that comes with Python, which is enough for a small ladder without any download.
STDLIB = (
    Source("code", "python", "[a-z]*.py", "plain", "PSF-2.0", root="stdlib"),
    Source("docs", "python", "pydoc_data/topics.py", "topics", "PSF-2.0", root="stdlib", largest_file=2_000_000),
)


def fetch(sources: tuple[Source, ...], folder: Path) -> None:
    """Download and unpack the Debian packages of `sources` into `folder`, except those that it already has.

    Raises: InputError if this is not Debian or if the download fails.
    """
    packages = sorted({s.package for s in sources if s.root == "debian"})
    missing = [p for p in packages if not (folder / p).exists()]
    if not missing:
        return
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InputError(
            f"the full ladder needs the Debian packages {', '.join(missing)}, found no apt-get on this machine; run it "
            "on Debian 12, or use --quick, which needs no download"
        )
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    got = subprocess.run(["apt-get", "download", *missing], cwd=downloads, capture_output=True, text=True)
    if got.returncode:
        last = (got.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"apt-get download {' '.join(missing)} failed ({last}); "
            "run apt-get update, and check that this is Debian 12"
        )
    for package in missing:
        archive = sorted(downloads.glob(f"{package}_*.deb"))[-1]
        unpacked = folder / f"{package}.part"
        subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
        unpacked.rename(folder / package)  # only a complete package gets its final name


class _Prose(html.parser.HTMLParser):
    """The text of an HTML page, with a block for each paragraph and heading."""

    block = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "li", "br", "div", "td", "blockquote"})
    silent = frozenset({"script", "style", "head", "nav"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.depth += tag in self.silent
        if tag in self.block:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in self.silent
        if tag in self.block:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.parts.append(data)


def _html(text: str) -> str:
    parser = _Prose()
    parser.feed(text)
    blocks = re.split(r"\n\s*\n", "".join(parser.parts))
    return "\n\n".join(filter(None, (" ".join(b.split()) for b in blocks)))


def _roff(text: str) -> str:
    """The source of a manual page without macros, font changes and escapes."""
    lines = []
    for line in text.splitlines():
        if line.startswith(('.\\"', "'\\\"", ".TH", ".ie", ".el", ".if", ".de", ".nr", ".ds", ".so")):
            continue
        macro = re.match(r"[.'][ \t]*([A-Za-z]{1,3})\b[ \t]*(.*)", line)
        if macro:
            before = "\n" if macro[1] in {"SH", "SS", "PP", "TP", "IP", "P"} else ""
            lines.append(before + macro[2].replace('"', ""))
        else:
            lines.append(line)
    plain = re.sub(r"\\f(\[[^\]]*\]|\(..|.)", "", "\n".join(lines))
    plain = re.sub(r"\\[,/&|^:%]|\\s[-+]?\d", "", plain)
    plain = re.sub(r"\\\(([a-z]q)", '"', plain).replace("\\-", "-").replace("\\e", "\\")
    return re.sub(r"\\[\[(].{2,8}?\]?", "", plain)


def _topics(text: str) -> str:
    """The help topics of Python, from the module that has them in a dictionary."""
    (found,) = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    topics: dict[str, str] = ast.literal_eval(found)
    return "\f".join(topics.values())


READERS: dict[str, Callable[[str], str]] = {"plain": str, "html": _html, "roff": _roff, "topics": _topics}


def read(source: Source, folder: Path) -> Iterator[tuple[str, str]]:
    """Name and plain text of every document of a source, in the order of the names. A form feed separates documents."""
    root = folder / source.package if source.root == "debian" else Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.glob(source.pattern)):
        if path.is_symlink() or not path.is_file() or "site-packages" in path.parts:
            continue
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            text = READERS[source.reader](raw.decode("utf-8")) if len(raw) <= source.largest_file else ""
        except UnicodeDecodeError:
            continue
        for i, part in enumerate(text.split("\f")):
            if len(part) >= 400:
                yield f"{source.package}/{path.relative_to(root)}#{i}", part.replace("\r\n", "\n").strip() + "\n"
