"""Movie sentences with human ratings: fetched once with pip, kept in the user's cache, never installed.

They lie in the source archive of a package (Hutto and Gilbert, ICWSM 2014: 10,605 sentences from
rotten.tomatoes.com, mean of 20 ratings from -4 to 4). The archive's hash is pinned, so pip opens nothing
else; it is read in memory.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REQUIREMENT = "vaderSentiment==3.3.2"
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
RATED = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
FETCH_SECONDS = 300


class EvaluationError(ValueError):
    """The accuracy cannot be measured here, and why, in one line."""


def rated_sentences() -> list[tuple[str, float]]:
    """Every sentence with its mean rating, in the order of the file; EvaluationError without a network."""
    outer = _member(_archive(), INNER)
    lines = _member(outer, RATED).decode("utf-8").splitlines()
    rows = (line.split("\t", 2) for line in lines if line.strip())
    return [(text.strip(), float(rating)) for _, rating, text in rows]


def cache_folder() -> Path:
    """Where fetched files are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim"


def _archive() -> bytes:
    cached = cache_folder() / ARCHIVE
    if not cached.is_file() or _digest(cached.read_bytes()) != SHA256:
        _fetch(cached)
    return cached.read_bytes()


def _fetch(cached: Path) -> None:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            command += ["--no-deps", "--no-binary", ":all:", "--require-hashes"]
            command += ["-r", str(wanted), "-d", folder]
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
                said = errors[-1].strip() if errors else f"status {done.returncode}"
                raise EvaluationError(f"the rated sentences need {REQUIREMENT}, and pip says: {said}")
            # Within one folder a rename is whole or not at all.
            (Path(folder) / ARCHIVE).replace(cached)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvaluationError(f"the rated sentences cannot be kept in {cached.parent}: {error}") from error


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        member = files.extractfile(name)
        if member is None:
            raise EvaluationError(f"{ARCHIVE} must hold the file {name}")
        return member.read()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
