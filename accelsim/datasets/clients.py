"""The clients of the package registries: pip, npm and apt-get. Each is asked for one known package.

pip would run the setup script of a source archive to learn its name. A build backend of our own answers
instead, so that nothing of an archive is ever run, and nothing else is fetched to run it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from accelsim.datasets.cache import DatasetError

FETCH_SECONDS = 300

# What pip asks of a backend before it keeps an archive: no requirements, and a name with a version.
BACKEND = """
import os
from pathlib import Path


class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        name, version = os.environ["ACCELSIM_REQUIREMENT"].split("==")
        folder = Path(metadata_directory) / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return folder.name
"""


def pip_source(requirement: str, file: str, what: str) -> bytes:
    """The source archive `file` of `name==version`. DatasetError, in one line, if pip does not give it."""
    with _folder(what) as folder:
        backend = Path(folder) / "backend" / "setuptools"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(BACKEND)
        paths = [str(backend.parent), os.environ.get("PYTHONPATH", "")]
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "ACCELSIM_REQUIREMENT": requirement,
        }
        return _pip(
            ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517", requirement],
            folder,
            file,
            what,
            environment,
        )


def pip_wheel(requirement: str, file: str, what: str, *, platform: str, python: str) -> bytes:
    """The wheel `file` of `name==version` for a stated platform, whatever this one is; as `pip_source`."""
    with _folder(what) as folder:
        words = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
        return _pip([*words, "--platform", platform, requirement], folder, file, what, {})


def npm_archive(requirement: str, file: str, what: str) -> bytes:
    """The archive `file` of `name@version`; as `pip_source`. npm runs no script of a package it packs so."""
    with _folder(what) as folder:
        options = ["--ignore-scripts", "--fetch-retries=1", "--loglevel=error"]
        _run(["npm", "pack", requirement, *options], f"npm pack {requirement}", folder, what)
        return _result(Path(folder) / file, f"npm pack {requirement}", what)


def debian_archive(package: str, what: str) -> bytes:
    """The tar archive inside a Debian package. Nothing is installed, and root is not needed.

    Where apt-get does not know the package, its lists are fetched into a folder of our own first.
    """
    with _folder(what) as folder:
        said = f"apt-get download {package}"
        try:
            _run(["apt-get", "--quiet", "download", package], said, folder, what)
        except DatasetError:
            (Path(folder) / "lists" / "partial").mkdir(parents=True)
            private = ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}"]
            all_or_nothing = ["-o", "APT::Update::Error-Mode=any"]
            update = ["apt-get", *private, *all_or_nothing, "--quiet", "update"]
            _run(update, "apt-get update", folder, what)
            _run(["apt-get", *private, "--quiet", "download", package], said, folder, what)
        found = sorted(Path(folder).glob(f"{package}_*.deb"))
        if not found:
            raise DatasetError(f"{what} needs {said}, which gave no file")
        unpack = ["dpkg-deb", "--fsys-tarfile", found[0].name]
        return _run(unpack, "dpkg-deb --fsys-tarfile", folder, what)


def _folder(what: str) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory()
    except OSError as error:
        raise DatasetError(f"{what} needs room for temporary files: {error.strerror or error}") from error


def _pip(words: Sequence[str], folder: str, file: str, what: str, environment: Mapping[str, str]) -> bytes:
    said = f"pip download {words[-1]}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    _run([*command, "--no-deps", "--dest", folder, *words], said, folder, what, environment)
    return _result(Path(folder) / file, said, what)


def _run(
    command: Sequence[str], said: str, folder: str, what: str, environment: Mapping[str, str] | None = None
) -> bytes:
    """Standard output of a client that works in `folder`; DatasetError with the client's own last words."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise DatasetError(f"{what} needs {said}, and there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise DatasetError(f"{what} needs {said}, which took over {FETCH_SECONDS} s") from None
    except OSError as error:
        raise DatasetError(f"{what} needs {said}, which fails: {error.strerror or error}") from error
    if done.returncode:
        reason = _last_words(done.stderr.decode(errors="replace")) or f"status {done.returncode}"
        raise DatasetError(f"{what} needs {said}, which fails: {reason}")
    return done.stdout


def _last_words(stderr: str) -> str:
    """The line that says what went wrong, among warnings and notices."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    marks = ("ERROR", "E: ", "npm error", "npm ERR!", "No module named")
    errors = [line for line in lines if any(mark in line for mark in marks)]
    # npm says what happened first, and where its log lies last; pip and apt-get end with what matters.
    if errors and errors[0].startswith("npm"):
        told = [line for line in errors if line.split()[2:3] not in (["code"], ["syscall"], ["errno"])]
        return (told or errors)[0]
    return (errors or lines or [""])[-1]


def _result(path: Path, said: str, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise DatasetError(f"{what} needs {said}, which gave no {path.name}") from None
