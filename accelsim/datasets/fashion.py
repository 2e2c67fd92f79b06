"""Fashion-MNIST: 60,000 and 10,000 grey pictures of clothes, 28 x 28, of ten kinds (Xiao et al., 2017).

From the Debian package `dataset-fashion-mnist`: its files where it is installed, else the package itself.
What counts is the hash of each unpacked file, so that any release of the package will do.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.datasets.archives import tar_files
from accelsim.datasets.cache import DatasetError, keep, kept
from accelsim.datasets.clients import debian_archive

PACKAGE = "dataset-fashion-mnist"
WHAT = "Fashion-MNIST"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
SIDE = 28  # pixels
CLASSES = 10
CACHED = "fashion-mnist-"  # before the names of the files in the cache

# Bytes before the values, values, and the hash of the unpacked file.
FILES = {
    "train-images-idx3-ubyte": (
        16,
        60_000 * SIDE**2,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte": (
        8,
        60_000,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte": (
        16,
        10_000 * SIDE**2,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte": (8, 10_000, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
}


@dataclass(frozen=True, kw_only=True)
class LabelledPictures:
    """`pictures`: (count, 28, 28), 0 to 255. `labels`: (count,), 0 to 9."""

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def fashion_mnist(*, training: bool = False) -> LabelledPictures:
    """The pictures for testing, or those for training. DatasetError if they cannot be had."""
    part = "train" if training else "t10k"
    images, labels = _values(f"{part}-images-idx3-ubyte"), _values(f"{part}-labels-idx1-ubyte")
    return LabelledPictures(pictures=images.reshape(-1, SIDE, SIDE), labels=labels)


def _values(name: str) -> npt.NDArray[np.uint8]:
    header, _, sha256 = FILES[name]
    content = kept(f"{CACHED}{name}", sha256)
    if content is None:
        _fetch()
        content = kept(f"{CACHED}{name}", sha256)
    if content is None:
        raise DatasetError(f"{WHAT} needs the file {name}, which vanished from the cache")
    # A copy: what torch is given must be writable.
    values: npt.NDArray[Any] = np.frombuffer(content, np.uint8, offset=header).copy()
    return values


def _fetch() -> None:
    """Put all files into the cache."""
    if all((INSTALLED / f"{name}.gz").is_file() for name in FILES):
        packed = {name: (INSTALLED / f"{name}.gz").read_bytes() for name in FILES}
    else:
        archive = debian_archive(PACKAGE, WHAT)
        endings = tuple(f"/fashion-mnist/{name}.gz" for name in FILES)
        found = tar_files(archive, lambda name: name.endswith(endings))
        packed = {Path(name).stem: content for name, content in found.items()}
    for name, (header, values, sha256) in FILES.items():
        if name not in packed:
            raise DatasetError(f"{WHAT} needs {name}.gz, which {PACKAGE} does not hold")
        keep(f"{CACHED}{name}", _unpacked(name, packed[name], header + values), sha256)


def _unpacked(name: str, packed: bytes, size: int) -> bytes:
    """At most one byte more than there should be: a file that is no other than it says."""
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            return file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{WHAT}: {name}.gz cannot be unpacked: {error}") from error
