"""Which part of a transformer a layer is, told from its name; in other networks all layers are `others`."""

from __future__ import annotations

from collections.abc import Collection

INPUTS = ("q_proj", "k_proj", "v_proj", "query", "key", "value", "qkv", "c_attn", "in_proj")
"""How layers that give Q, K and V end."""

OUTPUTS = ("o_proj", "out_proj", "attention.output.dense", "attn.proj", "attn.c_proj")
"""How projections behind attention end."""

INNER = {"mlp", "ffn", "feed_forward", "intermediate", "fc1", "fc2", "up", "down"}
"""Parts of the names of an MLP's layers."""

NEURONS = (
    ("output.dense", ("intermediate.dense",)),
    ("fc2", ("fc1",)),
    ("c_proj", ("c_fc",)),
    ("down_proj", ("gate_proj", "up_proj")),
    ("down_proj", ("up_proj",)),
    ("lin2", ("lin1",)),
    ("w2", ("w1", "w3")),
    ("wo", ("wi_0", "wi_1")),
    ("wo", ("wi",)),
)
"""How the second layer of an MLP ends, and how those that give its inputs do."""

KINDS = ("inputs", "outputs", "mlp", "others")


def kind_of(name: str) -> str:
    """One of `KINDS`; an output.dense that is not behind attention is the MLP's."""
    if name.endswith(INPUTS):
        return "inputs"
    if name.endswith(OUTPUTS):
        return "outputs"
    return "mlp" if INNER & set(name.split(".")) or name.endswith("output.dense") else "others"


def qkv_of(name: str, names: Collection[str]) -> tuple[str, ...]:
    """The layers of Q, K and V, each its own, before a projection behind attention; none unless all are."""
    ending = next((each for each in OUTPUTS if name.endswith(each)), "")
    attention = name.removesuffix(ending.removeprefix("attention.").removeprefix("attn."))
    for three in (("q_proj", "k_proj", "v_proj"), ("query", "key", "value")):
        found = [
            [each for each in names if each.startswith(attention) and each.rpartition(".")[2] == own]
            for own in three
        ]
        if ending and all(len(each) == 1 for each in found):
            return tuple(each[0] for each in found)
    return ()


def neurons_of(name: str, names: Collection[str]) -> tuple[str, ...]:
    """The layers that give the inputs of an MLP's second layer; none where they are not known."""
    for second, first in NEURONS:
        if name == second or name.endswith(f".{second}"):
            found = tuple(name.removesuffix(second) + each for each in first)
            if all(each in names for each in found):
                return found
    return ()
