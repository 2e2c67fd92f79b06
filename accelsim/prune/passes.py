"""The passes of a generation by name, the rules of the cascade in them, and what rounds weights, in words."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.prune.composed import Composed
from accelsim.prune.fitted import Fitted
from accelsim.prune.recipes import Recipe, Spatten
from accelsim.workload import Layer


def prefixed(passes: Sequence[Sequence[Layer]]) -> tuple[Layer, ...]:
    """All layers in order, named by their pass."""
    named = []
    for index, layers in enumerate(passes):
        prefix = f"step {index}" if index else "prompt"
        named += [layer.renamed(f"{prefix}/{layer.name}") for layer in layers]
    return tuple(named)


def generation_notes(steps: int, recipes: Sequence[Recipe]) -> tuple[str, ...]:
    """What a report says of the generation: which tokens ran, and which stay."""
    notes = [
        f"generation: one pass over the prompt, then {steps} tokens one by one (greedy, with the KV cache)"
    ]
    for recipe in recipes:
        if isinstance(recipe, Spatten) and recipe.prunes_tokens:
            notes.append(cascade_note(recipe))
        if isinstance(recipe, Spatten) and recipe.values < 1:
            where = "in generation alone" if recipe.values_from else "in the prompt's pass, too"
            notes.append(f"local values are pruned {where} (values_in={recipe.values_in})")
    return tuple(notes)


def cascade_note(recipe: Spatten) -> str:
    """The rules by which tokens stay from pass to pass."""
    scores = "divided by the rows that could see the token" if recipe.scores == "mean" else "as it adds up"
    return (
        "cascade in generation: each token starts with all keys again; the prompt's last token, in its own "
        f"pass, and the newest {recipe.recent} generated are kept (recent={recipe.recent}); importance "
        f"counts {scores} (scores={recipe.scores})"
    )


def rounded_note(recipes: Sequence[Recipe]) -> tuple[str, ...]:
    """One line where a recipe rounds weights; none where none does.

    A machine's product has one type for both operands, and the recipe leaves the other one as it is.
    """
    found = [each.recipe if isinstance(each, Fitted) else each for each in recipes]
    widths = [each.weight_bits for each in found if isinstance(each, Composed) and each.weight_bits]
    return tuple(
        f"weights are rounded to {width} bits and their inputs are not: "
        "both are moved and multiplied in the type of the product"
        for width in widths
    )
