"""What fraction each layer keeps: one word a file."""

from accelsim.prune.allocations import (
    distortion,
    ecoflap,
    everywhere,
    farms,
    later,
    machine,
    modules,
    uniform,
)
from accelsim.prune.word import Allocation

ALLOCATIONS: dict[str, Allocation] = {
    word.name: word
    for word in (
        uniform.WORD,
        everywhere.WORD,
        modules.WORD,
        distortion.WORD,
        ecoflap.WORD,
        farms.WORD,
        later.WORD,
        machine.WORD,
    )
}
