"""One safe `.npz` file for everything that is saved: a JSON header and plain arrays.

A file from a stranger must not run code, must not take more memory than it has bytes to show for, and
must answer with one line if anything is wrong. So nothing is unpickled and nothing is compressed:
members are stored, which bounds what they inflate to by the file's own size, and every size is compared
with it before a byte is read. The `.npy` prefix of an array is not parsed but compared with the only one
that its entry in the header allows. `numpy.load(path, allow_pickle=False)` opens the same file.

Equal arrays are stored once, under the first of their names; the others say `{"same": that name}` and are
one array again in memory. The hash is of the content: it does not know which arrays shared a member.

Memory while reading: at most `MEMORY_FACTOR` bytes for each byte of the file (all of them header or zip
directory), and about one where arrays make up the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import reprlib
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from accelsim.files import replaced

Array = npt.NDArray[Any]

HEADER = "header.json"
HEADER_LIMIT_BYTES = 64 << 20
MEMORY_FACTOR = 48
LARGEST_ARRAY_BYTES = 2**62
MOST_AXES = 32
TYPES = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
EPOCH = (1980, 1, 1, 0, 0, 0)
WORD = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")

# What zipfile is known to raise on damaged or hostile files; ValueError holds UnicodeDecodeError.
DAMAGE = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)


class ArchiveError(ValueError):
    """A file that cannot be read or written, in one line that names it."""


class Archive(NamedTuple):
    """What a file held: the header as it was written, and read-only arrays; equal ones share memory."""

    header: dict[str, Any]
    arrays: dict[str, Array]


class _Layout(NamedTuple):
    """An array as its header entry declares it; `prefix` is its exact `.npy` prefix."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    prefix: bytes

    @property
    def array_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def member_bytes(self) -> int:
        return len(self.prefix) + self.array_bytes


def content_hash(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the canonical header and the arrays' names, types, shapes and SHA-256 of their bytes.

    Independent of how and when the content is stored. Raises ValueError where `write` would.
    """
    _, entries, _ = _prepare(arrays)
    return _digest(dict(header), entries)


def write(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Write header and arrays to `path` and return their content hash; equal content gives equal bytes.

    `header` is JSON with a `kind` (str) and a `version` (int); arrays are booleans, integers, finite floats
    or packed records of these, with names such as `layers.0.mask`. The file appears whole or not at all.
    """
    target = Path(os.path.realpath(path))
    if type(header.get("kind")) is not str or type(header.get("version")) is not int:
        raise ArchiveError(f"{path}: the header must have a kind (text) and a version (a whole number)")
    try:
        plain, entries, layouts = _prepare(arrays)
        digest = _digest(dict(header), entries)
        document = _canonical({"arrays": entries, "header": dict(header), "sha256": digest})
        if len(document) > HEADER_LIMIT_BYTES:
            raise ValueError(f"the header must be at most {HEADER_LIMIT_BYTES} bytes, not {len(document)}")
    except (ValueError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{path}: {error}") from None
    try:
        replaced(target, lambda draft: _write_members(draft, document, plain, layouts))
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be written: {error.strerror or error}") from None
    return digest


def read(path: str | os.PathLike[str], kind: str, version: int) -> Archive:
    """Read a file that `write` made; ArchiveError, one line, for anything else."""
    try:
        # Asked before it is opened: opening a pipe waits for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ValueError("must be a regular file")
        with Path(path).open("rb") as file:
            return _read_file(file, kind, version)
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ArchiveError(f"{path}: {error}") from None


def _read_file(file: BinaryIO, kind: str, version: int) -> Archive:
    """Check every size against the file's, then read; ValueError without the path."""
    file_bytes = os.fstat(file.fileno()).st_size
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE:
        file.seek(0)
        known = file.read(2) == b"PK"
        raise ValueError(
            "the archive is truncated or damaged" if known else "must be a zip archive (.npz)"
        ) from None
    members = _members(archive, file_bytes)
    if HEADER not in members:
        raise ValueError(f"member {HEADER!r} is missing")
    if members[HEADER].file_size > HEADER_LIMIT_BYTES:
        raise ValueError(
            f"{HEADER} must be at most {HEADER_LIMIT_BYTES} bytes, not {members[HEADER].file_size}"
        )
    header, entries, claimed = _parse_document(_member(archive, members[HEADER]), kind, version)
    sources = {name: _source(name, entries) for name in entries}
    layouts = {name: _layout(name, entries[name]) for name in sources if sources[name] == name}
    expected = {HEADER} | {f"{name}.npy" for name in layouts}
    for name in sorted(expected ^ members.keys()):
        problem = "missing" if name in expected else "not expected"
        raise ValueError(f"member {reprlib.repr(name)} is {problem}")
    for name, layout in layouts.items():
        if layout.member_bytes != (found := members[f"{name}.npy"].file_size):
            raise ValueError(f"array {name!r} must take {layout.member_bytes} bytes, not {found}")
    stored = {
        name: _array(name, layout, _member(archive, members[f"{name}.npy"]))
        for name, layout in layouts.items()
    }
    for name, array in stored.items():
        if (own := _bytes_digest(array)) != (said := entries[name]["sha256"]):
            raise ValueError(f"array {name!r}: sha256 must be {own[:16]}..., not {reprlib.repr(said)}")
    if (digest := _digest(header, entries)) != claimed:
        raise ValueError(f"content hash must be {digest[:16]}..., not {reprlib.repr(claimed)}")
    return Archive(header, {name: stored[source] for name, source in sources.items()})


def _source(name: str, entries: Mapping[str, Any]) -> str:
    """Under which name an array is stored: its own, or the one that it is the same as."""
    entry = entries[name]
    if not isinstance(entry, dict) or "same" not in entry:
        return name
    if not WORD.fullmatch(name):
        raise ValueError(_bad_name(name))
    other = entries.get(entry["same"]) if isinstance(entry["same"], str) else None
    if entry.keys() != {"same"} or not isinstance(other, dict) or "same" in other:
        shown = reprlib.repr(entry)
        raise ValueError(
            f"array {reprlib.repr(name)} must be the same as an array that is stored, not {shown}"
        )
    return str(entry["same"])


def _members(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name, all stored, none twice, together no larger than the file."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        shown = reprlib.repr(member.filename)
        if member.filename in members:
            raise ValueError(f"member {shown} must not occur twice")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"member {shown} must be stored, not compressed")
        members[member.filename] = member
    declared = sum(member.file_size for member in members.values())
    if declared > file_bytes:
        raise ValueError(f"members declare {declared} bytes, more than the file's {file_bytes}")
    return members


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        content = archive.read(member)
    except DAMAGE:
        raise ValueError(f"member {reprlib.repr(member.filename)} is truncated or damaged") from None
    if len(content) != member.file_size:
        raise ValueError(f"member {reprlib.repr(member.filename)} is truncated")
    return content


def _parse_document(raw: bytes, kind: str, version: int) -> tuple[dict[str, Any], dict[str, Any], object]:
    """Header, array entries and claimed hash. Only the canonical form is taken: no key twice, no NaN."""
    try:
        document = json.loads(raw.decode("ascii"))
        canonical = _canonical(document)
    except RecursionError:
        raise ValueError(f"{HEADER} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{HEADER} must be JSON: {error}") from None
    if canonical != raw:
        raise ValueError(f"{HEADER} must be canonical JSON (sorted keys, none twice, no spaces)")
    if not isinstance(document, dict) or document.keys() != {"arrays", "header", "sha256"}:
        raise ValueError(f"{HEADER} must hold 'arrays', 'header' and 'sha256'")
    header, entries = document["header"], document["arrays"]
    if not isinstance(header, dict) or not isinstance(entries, dict):
        raise ValueError(f"{HEADER}: 'arrays' and 'header' must be objects")
    for key, wanted in (("kind", kind), ("version", version)):
        found = header.get(key)
        if type(found) is not type(wanted) or found != wanted:
            raise ValueError(f"{key} must be {wanted!r}, not {reprlib.repr(found)}")
    return header, entries, document["sha256"]


def _array(name: str, layout: _Layout, content: bytes) -> Array:
    """The array as a read-only view of the member's bytes."""
    if not content.startswith(layout.prefix):
        raise ValueError(f"array {name!r} must start with the .npy prefix of its type and shape")
    array: Array = np.ndarray(layout.shape, layout.dtype, buffer=content, offset=len(layout.prefix))
    _check_elements(name, array)
    return array


def _check_elements(name: str, array: Array) -> None:
    """Refuse elements that numpy would take but no arithmetic means: NaN, infinity, a boolean of 2."""
    columns = [array] if array.dtype.names is None else [array[field] for field in array.dtype.names]
    for column in columns:
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"array {name!r} must be finite, not NaN or infinite")
        if column.dtype.kind == "b" and column.size and column.view(np.uint8).max() > 1:
            raise ValueError(f"array {name!r} must hold booleans of 0 or 1")


def _layout(name: str, entry: object) -> _Layout:
    """The entry of a stored array as a type, a shape and a prefix; ValueError for anything else."""
    shown = f"array {reprlib.repr(name)}"
    if not WORD.fullmatch(name):
        raise ValueError(_bad_name(name))
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "sha256"}:
        raise ValueError(f"{shown} must have 'dtype', 'shape' and 'sha256', not {reprlib.repr(entry)}")
    described, shape = entry["dtype"], entry["shape"]
    dtype = _dtype(shown, described)
    if not isinstance(shape, list) or len(shape) > MOST_AXES:
        found = reprlib.repr(shape)
        raise ValueError(f"{shown}: shape must be a list of at most {MOST_AXES} sizes, not {found}")
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"{shown}: shape must be whole numbers >= 0, not {reprlib.repr(shape)}")
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > LARGEST_ARRAY_BYTES:
        raise ValueError(f"{shown}: shape {reprlib.repr(shape)} is too large")
    text = repr(dtype.str) if dtype.names is None else repr(dtype.descr)
    text = f"{{'descr': {text}, 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    # The .npy 1.0 format: magic, length, text padded so that the elements start at a multiple of 64.
    length = -(len(text) + 11) % 64 + len(text) + 1
    if length >= 2**16:
        raise ValueError(f"{shown} has too many fields")
    prefix = b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode("ascii") + b"\n"
    return _Layout(dtype, tuple(shape), prefix)


def _bad_name(name: str) -> str:
    return f"array {reprlib.repr(name)}: a name must be words of letters, digits and _ joined by dots"


def _dtype(shown: str, described: object) -> np.dtype[Any]:
    """A plain type by its name, or a packed record from [[field, name], ...]."""
    if isinstance(described, str) and described in TYPES:
        return np.dtype(described)
    if isinstance(described, list) and described:
        rows = [row for row in described if isinstance(row, list) and len(row) == 2]
        pairs = [(field, kind) for field, kind in rows if isinstance(field, str) and isinstance(kind, str)]
        names = {field for field, kind in pairs if WORD.fullmatch(field) and kind in TYPES}
        if len(names) == len(described):
            return np.dtype(pairs)
    raise ValueError(f"{shown}: dtype must be one of {', '.join(TYPES)}, not {reprlib.repr(described)}")


def _prepare(
    arrays: Mapping[str, Array],
) -> tuple[dict[str, Array], dict[str, dict[str, Any]], dict[str, _Layout]]:
    """What is stored (little-endian, C-ordered, packed), the entries of all, and layouts of the stored."""
    plain: dict[str, Array] = {}
    entries: dict[str, dict[str, Any]] = {}
    layouts: dict[str, _Layout] = {}
    first_of: dict[tuple[str, ...], str] = {}
    # One memory behind many names is read once; it is held, so that its place is not used again.
    known: dict[tuple[Any, ...], tuple[str, Array]] = {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        place = (array.__array_interface__["data"][0], array.dtype.str, array.shape, array.strides)
        if array.dtype.names is None and place in known:
            if not WORD.fullmatch(name):
                raise ValueError(_bad_name(name))
            entries[name] = {"same": known[place][0]}
            continue
        entry: dict[str, Any] = {"dtype": _described(array), "shape": list(array.shape), "sha256": ""}
        layout = _layout(name, entry)
        content = np.asarray(array, dtype=layout.dtype, order="C")
        _check_elements(name, content)
        entry["sha256"] = _bytes_digest(content)
        first = first_of.setdefault((str(entry["dtype"]), str(entry["shape"]), str(entry["sha256"])), name)
        known[place] = first, array
        if first == name:
            plain[name], entries[name], layouts[name] = content, entry, layout
        else:
            entries[name] = {"same": first}
    return plain, entries, layouts


def _described(array: Array) -> Any:
    """The type of the elements in a header entry."""
    names = array.dtype.names
    if names is None:
        return array.dtype.newbyteorder("<").str
    return [[field, array.dtype[field].newbyteorder("<").str] for field in names]


def _digest(header: dict[str, Any], entries: Mapping[str, Any]) -> str:
    """Of the header and every array's own entry, whichever array is stored in its place."""
    own = {name: entries[entry.get("same", name)] for name, entry in entries.items()}
    return hashlib.sha256(_canonical({"arrays": own, "header": header})).hexdigest()


def _bytes_digest(array: Array) -> str:
    return hashlib.sha256(_bytes(array).data).hexdigest()


def _canonical(document: object) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.encode("ascii")


def _bytes(array: Array) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _write_members(
    path: Path, document: bytes, arrays: Mapping[str, Array], layouts: Mapping[str, _Layout]
) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(_new_member(HEADER, len(document)), "w") as member:
            member.write(document)
        for name, layout in layouts.items():
            with archive.open(_new_member(f"{name}.npy", layout.member_bytes), "w") as member:
                member.write(layout.prefix)
                member.write(_bytes(arrays[name]).data)


def _new_member(name: str, size_bytes: int) -> zipfile.ZipInfo:
    """A member without time, owner or system, so that equal content makes equal files."""
    member = zipfile.ZipInfo(name, EPOCH)
    member.create_system = 3
    member.external_attr = 0o644 << 16
    member.file_size = size_bytes
    return member
