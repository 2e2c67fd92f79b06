"""Writes a folder anew: replaces what was written into it before, and touches nothing else that is there.

`files.sha256` in the folder lists its files as `sha256sum -c` reads them. A file that is not as listed is its
user's: a name that is wanted for one of ours is refused, one that is not wanted stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from accelsim.files import write_atomically

LIST = "files.sha256"
SHOWN_NAMES = 3
ENTRY = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a folder's files. kept: those of another writing that have been changed since."""

    written: list[Path]
    removed: list[str]
    kept: list[str]


def write_own(folder: Path, texts: dict[str, str]) -> Outcome:
    """Write texts by their paths in `folder`, and take away what an earlier writing left there.

    Raises ValueError, and writes nothing, if a file of the user's has one of the names.
    """
    before = _listed(folder)
    wanted = {name: {_digest(text.encode())} for name, text in texts.items()}
    foreign = [name for name, digests in wanted.items() if not _own(folder / name, before, name, digests)]
    if before is None:
        foreign.append(LIST)
    if foreign:
        shown = ", ".join(foreign[:SHOWN_NAMES]) + (", ..." if len(foreign) > SHOWN_NAMES else "")
        raise ValueError(
            f"-o must be a folder where {shown} may be replaced, not {str(folder)!r}, where that is not as "
            "we wrote it"
        )

    # Both writings, until the new one is whole: what a killed one left is still known for ours.
    before = before or {}
    names = sorted(before.keys() | wanted.keys())
    both = {name: before.get(name, set()) | wanted.get(name, set()) for name in names}
    folder.mkdir(exist_ok=True)
    _write_list(folder, both)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, text)
    removed, kept = [], []
    for name in sorted(before.keys() - wanted.keys()):
        if not (folder / name).is_file():
            continue
        if _digest((folder / name).read_bytes()) in before[name]:
            (folder / name).unlink()
            removed.append(name)
        else:
            kept.append(name)
    _write_list(folder, wanted)
    return Outcome(written=[folder / name for name in [*texts, LIST]], removed=removed, kept=kept)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _own(path: Path, before: dict[str, set[str]] | None, name: str, wanted: set[str]) -> bool:
    """Whether a place is free, or holds what was or will be written there."""
    if not path.exists() and not path.is_symlink():
        return True
    known = wanted | (before or {}).get(name, set())
    return path.is_file() and _digest(path.read_bytes()) in known


def _listed(folder: Path) -> dict[str, set[str]] | None:
    """Digests by name; None if the list is none of ours. Names that lead out of the folder are no entries."""
    path = folder / LIST
    if not path.exists():
        return {}
    found: dict[str, set[str]] = {}
    for line in path.read_text(errors="replace").splitlines():
        entry = ENTRY.fullmatch(line)
        if entry is None or not (folder / entry[2]).resolve().is_relative_to(folder.resolve()):
            return None
        found.setdefault(entry[2], set()).add(entry[1])
    return found


def _write_list(folder: Path, digests: dict[str, set[str]]) -> None:
    lines = [f"{digest}  {name}" for name, found in digests.items() for digest in sorted(found)]
    write_atomically(folder / LIST, "\n".join(lines) + "\n")
