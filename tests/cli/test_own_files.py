"""A folder that is written again: what was ours is replaced or goes, what is the user's stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.cli import main, own_files
from accelsim.cli.own_files import LIST, write_own

pytestmark = pytest.mark.rtl


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_another_boards_project_leaves_nothing_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["verilog", "kit.fifo:tiny", "-o", str(tmp_path / "unit"), "--board"]
    assert main([*command, "ulx3s"]) == 0
    (tmp_path / "unit" / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert main([*command, "kcu105"]) == 0
    out, err = capsys.readouterr()
    told = {str(Path(line).relative_to(tmp_path / "unit")) for line in out.splitlines()}
    assert files(tmp_path / "unit") == told | {"notes.txt"}
    assert {"project.tcl", "kit_fifo.xdc"} <= told
    assert "removed: Makefile, kit_fifo.lpf, of an earlier writing\n" in err
    subprocess.run(["sha256sum", "-c", "--quiet", LIST], cwd=tmp_path / "unit", check=True)


def test_a_file_of_the_users_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "README.md").write_text("my project")
    assert main(["verilog", "kit.fifo:tiny", "-o", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "-o must be a folder where README.md may be replaced" in err
    assert files(tmp_path) == {"README.md"}


def test_what_was_changed_since_is_refused_or_kept(tmp_path: Path):
    write_own(tmp_path, {"a.v": "1", "b/c.v": "2", "d.v": "3"})
    (tmp_path / "b" / "c.v").write_text("mine")
    with pytest.raises(ValueError, match=r"where b/c\.v may be replaced"):
        write_own(tmp_path, {"a.v": "4", "b/c.v": "5"})
    assert (tmp_path / "a.v").read_text() == "1"
    outcome = write_own(tmp_path, {"a.v": "4"})
    assert (outcome.removed, outcome.kept) == (["d.v"], ["b/c.v"])
    assert files(tmp_path) == {"a.v", "b/c.v", LIST}


def test_a_writing_that_was_killed_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old, new = ({name: f"{name} {age}" for name in "abc"} for age in ("old", "new"))
    write_own(tmp_path, old)
    write, calls = own_files.write_atomically, []

    def killed(path: Path, text: str) -> None:
        calls.append(path)
        if len(calls) > 2:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(own_files, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write_own(tmp_path, new)
    monkeypatch.undo()
    assert [(tmp_path / name).read_text() for name in "abc"] == ["a new", "b old", "c old"]
    assert write_own(tmp_path, new | {"d": "d"}).kept == []
    assert [(tmp_path / name).read_text() for name in "abc"] == list(new.values())


@pytest.mark.parametrize("line", ["my own list", f"{'0' * 64}  ../outside"])
def test_a_list_that_is_none_of_ours_is_refused(tmp_path: Path, line: str):
    (tmp_path / LIST).write_text(line + "\n")
    with pytest.raises(ValueError, match=r"files\.sha256 may be replaced"):
        write_own(tmp_path, {"a.v": "1"})
    assert files(tmp_path) == {LIST}
