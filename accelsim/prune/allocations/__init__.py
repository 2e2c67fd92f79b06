"""What fraction each layer keeps: one word a file."""

from accelsim.prune.allocations import everywhere, uniform
from accelsim.prune.word import Allocation

ALLOCATIONS: dict[str, Allocation] = {word.name: word for word in (uniform.WORD, everywhere.WORD)}
