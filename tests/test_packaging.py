"""What a user installs and what the README promises: both are tried here as a user would."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PACKAGES = {
    "accelsim": "accelsim",
    "accelsim_rtl": "rtl/accelsim_rtl",
    "accelsim_kernels": "kernels/accelsim_kernels",
}


def python(*words: str, cwd: Path = ROOT) -> str:
    """Standard output of a fresh interpreter; its failure fails the test with its own last words."""
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def version() -> str:
    import accelsim

    return accelsim.__version__


@pytest.fixture
def installed() -> ModuleType:
    """tests/installed.py, what `make test-lowest` runs."""
    specification = importlib.util.spec_from_file_location("installed", ROOT / "tests" / "installed.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def files_of(wheel: Path) -> set[str]:
    """Names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_source_of_the_three_packages_and_nothing_else(
    installed: ModuleType, tmp_path: Path
) -> None:
    wheel = installed.build(tmp_path)
    assert wheel.name == f"accelsim-{version()}-py3-none-any.whl"
    found, expected = files_of(wheel), set()
    for package, place in PACKAGES.items():
        for path in (ROOT / place).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(f"{package}/{path.relative_to(ROOT / place)}")
    assert {name for name in found if ".dist-info/" not in name} == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= found
    # The licence and the command.
    assert any(name.endswith("licenses/LICENSE") for name in found)
    assert any(name.endswith("entry_points.txt") for name in found)


def test_the_command_of_an_installed_wheel_gives_the_json_of_the_checkout(
    installed: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # in another place all would be compiled anew
    assert installed.main(["here"]) is None
    assert capfd.readouterr().out == "here: `run` and `compare` give the checkout's JSON\n"


def test_a_wheel_that_lacks_a_module_is_noticed(
    installed: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def lacking(folder: Path) -> Path:
        wheel = build(folder)
        with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(folder / "part", "w") as part:
            for entry in whole.infolist():
                if entry.filename != "accelsim/accelerators/systolic.py":
                    part.writestr(entry, whole.read(entry))
        return (folder / "part").replace(wheel)

    build = installed.build
    monkeypatch.setattr(installed, "build", lacking)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(subprocess.CalledProcessError):
        installed.main(["here"])
    assert "accelsim.accelerators.systolic" in capfd.readouterr().err


def test_the_version_is_told_alike_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^version: (\S+)$", citation, re.M).group(1) == version()
    assert re.search(r"^## (\S+)", changelog, re.M).group(1) == version()


def test_what_the_makefile_pins_is_what_the_constraints_pin() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"torch==(\S+)", makefile).group(1) == pinned["torch"]


def test_a_program_that_is_there_needs_no_installation() -> None:
    assert python("tests/system.py", f"{Path(sys.executable).name}=python3") == ""


def test_a_program_that_cannot_be_had_is_named_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests/system.py", "no-such-program=no-such-package"],
        env={**os.environ, "PATH": str(tmp_path)},  # no apt-get, no sudo
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "the tests need: sudo apt-get install no-such-package\n"


@pytest.mark.parametrize("place", ["a b/checkout", "checkout"])
def test_a_path_with_a_space_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    checkout = tmp_path / place
    checkout.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", "--dry-run", "clean"], cwd=checkout, env=environment, capture_output=True, text=True
    )
    if " " in place:
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "without spaces" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", tmp_path)
    rule = subprocess.run(
        ["make", "--dry-run", "system", f"PYTHON={sys.executable}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    ).stdout
    check = next(line for line in rule.splitlines() if "sys.version_info" in line)
    script = shlex.split(check)[2]
    assert python("-c", script) == ""
    old = script.replace("import sys;", "import sys; sys.version_info = (3, 9, 2);")
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("accelsim needs Python 3.11 or newer, not 3.9: make PYTHON=")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.torch
def test_transformers_loads_models_beside_our_kernels() -> None:
    """A package called `kernels` would be taken for the one that transformers calls so."""
    script = """
import accelsim_kernels
from transformers import BertModel, LlamaForCausalLM
import transformers.integrations.hub_kernels
"""
    python("-W", "ignore", "-c", script, cwd=ROOT)


def readme_blocks() -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)


def readme_commands() -> list[list[str]]:
    """The `accelsim` commands of each block of the README that has any, in order, continued lines joined."""
    blocks = [block.replace("\\\n", " ") for _, block in readme_blocks()]
    found = [re.findall(r"^(?:\$ )?(accelsim .*)$", block, re.M) for block in blocks]
    return [commands for commands in found if commands]


def _marks(commands: list[str]) -> list[pytest.MarkDecorator]:
    words = [word for command in commands for word in shlex.split(command, comments=True)]
    marks = [pytest.mark.torch] if {"run", "trace", "compare", "train"} & set(words) else []
    marks += [pytest.mark.rtl] if {"verilog", "verify", "synth", "units"} & set(words) else []
    return [*marks, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's commands run; those of a block may use each other's files."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "docs", place / "docs")
    return place


def output(command: str, folder: Path) -> str:
    """What a command that succeeds prints."""
    words = shlex.split(command, comments=True)
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("commands", [pytest.param(c, marks=_marks(c), id=c[0]) for c in readme_commands()])
def test_the_commands_of_a_block_of_the_readme_run(commands: list[str], folder: Path) -> None:
    for command in commands:
        assert output(command, folder).strip()


def main_job() -> list[tuple[str, list[str]]]:
    """The commands of `make run`, each with what the README shows of its output."""
    shown = next(block for _, block in readme_blocks() if block.startswith("$ make run\n"))
    commands = re.findall(r"^\t\$\(BIN\)/(accelsim run .*)$", (ROOT / "Makefile").read_text(), re.M)
    sections = re.split(r"^\.venv/bin/(accelsim .*)\n", shown, flags=re.M)
    assert sections[1::2] == commands, "the README must show the commands of `make run`"
    return [(command, lines.split("\n")) for command, lines in zip(commands, sections[2::2], strict=True)]


@pytest.mark.torch
@pytest.mark.parametrize(("command", "shown"), [pytest.param(c, s, id=c) for c, s in main_job()])
def test_the_readme_shows_what_make_run_prints(command: str, shown: list[str], folder: Path) -> None:
    printed = {line.rstrip() for line in output(command, folder).splitlines()} | {"", "..."}
    wrong = [line for line in shown if line not in printed]
    # The cascade's decisions follow the last bits of the model's scores, which differ among processors.
    close = "--on spatten" in command and len(wrong) < len(shown) / 2
    assert not wrong or close, "\n".join(wrong)


@pytest.mark.rtl
def test_the_readme_shows_what_verify_prints(folder: Path) -> None:
    shown = next(block for _, block in readme_blocks() if block.startswith("$ accelsim verify "))
    command, *lines = shown[2:].splitlines()
    verdicts = [line for line in lines if line.startswith("unit ")]
    assert output(command, folder).splitlines() == verdicts
    assert verdicts


@pytest.mark.torch
@pytest.mark.parametrize("text", [text for language, text in readme_blocks() if language == "python"])
def test_a_python_block_of_the_readme_runs(text: str, folder: Path) -> None:
    python("-W", "error::DeprecationWarning:accelsim", "-c", text, cwd=folder)


def test_the_readme_is_read_as_meant() -> None:
    assert sum(map(len, readme_commands())) >= 5
    assert "make run" in README
    assert "make test" in README


def test_every_path_that_the_readme_names_is_there() -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in t]
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
