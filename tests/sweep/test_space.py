"""What a sweep file may say, and that every mistake is one line with its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.sweep import SpaceError, read_space
from accelsim.sweep.plain_yaml import plain_values

SMALL = "models: [gemm:16x16x16]\nmachines: [systolic]\n"


def test_words_that_old_yaml_would_turn_into_other_values_stay_words(written) -> None:
    space = read_space(
        written(
            "models: [gemm:16x16x16]\nrecipes: [dense, 2:4]\nmachines:\n- on: sat\n"
            "  set: {clock_hz: 1e8, rows: 0x10, cols: [4, 1_0]}\n"
        )
    )
    assert space.recipes == ["dense", "2:4"]
    assert space.machines[0].on == "sat"
    assert space.machines[0].alternatives() == {"clock_hz": [1e8], "rows": [16], "cols": [4, 10]}


def test_a_machine_may_be_its_name_alone(written) -> None:
    assert [machine.on for machine in read_space(written(SMALL)).machines] == ["systolic"]


MISTAKES = {
    "models: [a]\n": "machines: field required",
    "models: [a]\nmachines: [{on: sat, set: {rows: []}}]\n": "set.rows: must be a value, a list of",
    "models: [a]\nmachines: [{on: sat, set: {rows: {low: 1, high: 2}}}]\n": "rows: a range in a grid must",
    "models: [a]\nmachines: [sot]\n": "machines.0: accelerator must be one of",
    "models: [a]\nmachines: [{on: sat, set: {rosw: 4}}]\n": "did you mean 'rows'?",
    "models: [a]\nmachine: [sat]\n": "did you mean 'machines'?",
    "models: [a]\nmachines: [{on: sat, sot: {}}]\n": "a word of machines.0 must be one of on, set, not 'sot'",
    "models: [a]\nmachines: [sat]\nmodels: [b]\n": "line 3: 'models' is given twice",
    "models: &x [a]\nmachines: *x\n": "line 2: aliases are not taken",
    "models: [a\n": "line 2",
    "a sentence": "must hold models, recipes and machines, not str",
    "models: !!python/object/apply:os.system [ls]\n": "line 1: tags are not taken",
    "models: !!map [a, b]\n": "line 1: tags are not taken",
    SMALL + "evaluate: !!bool x\n": "tags are not taken",
    SMALL + "seed: !!float ''\n": "tags are not taken",
    SMALL + "objectives: {second: min}\n": "did you mean 'seconds'?",
    SMALL
    + "objectives: {seconds: least}\n": "objectives.seconds: input should be 'min' or 'max', not 'least'",
    SMALL + "objectives: {accuracy: max}\n": "needs evaluate: true",
    SMALL + "search: {kind: random}\n": "search: points belongs to kind: random",
    SMALL + "batch: 0\n": "batch: input should be greater than or equal to 1, not '0'",
    "models: [a]\nmachines: [{on: sat, set: {rows: {low: 4, high: 2}}}]\n": "low must be below high",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_a_mistake_is_one_line_that_names_its_place(written, text: str, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        read_space(written(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "space.yaml" in str(caught.value)


def test_depth_and_size_are_bounded(written) -> None:
    for text in ("[" * 100_000, "#" * (2**20 + 1), "a: " + "9" * 5000):
        with pytest.raises(SpaceError):
            read_space(written(text))


PIECES = st.lists(
    st.sampled_from([*"[]{}:,-&*!|>?#%@`'\" \n\t0a~", "models", "!!", "<<", "\x00", "é", "..."])
)


@given(st.one_of(st.binary(max_size=200), PIECES.map(lambda parts: "".join(parts).encode())))
def test_any_bytes_are_plain_values_or_one_line(content: bytes) -> None:
    try:
        plain_values(content)
    except ValueError as error:
        assert "\n" not in str(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        read_space(tmp_path / "none.yaml")
