"""What is done to a cut layer without training: one word a file."""

from accelsim.prune.refinements import armor, bias, bits, dsnot, update
from accelsim.prune.word import Refinement

REFINEMENTS: dict[str, Refinement] = {
    word.name: word for word in (update.WORD, dsnot.WORD, bias.WORD, armor.WORD, bits.WORD)
}
