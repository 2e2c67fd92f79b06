"""What is done to a cut layer without training: one word a file, in an order in which none undoes another."""

from accelsim.prune.refinements import armor, bias, bits, dsnot, surgeon, update
from accelsim.prune.word import Refinement

REFINEMENTS: dict[str, Refinement] = {
    word.name: word for word in (dsnot.WORD, update.WORD, surgeon.WORD, bias.WORD, bits.WORD, armor.WORD)
}
