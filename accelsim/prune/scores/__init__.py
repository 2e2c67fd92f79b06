"""How important each weight is: one word a file."""

from accelsim.prune.scores import (
    dimap,
    dpruner,
    flap,
    gblm,
    magnitude,
    nowag,
    obert,
    obs,
    random,
    sparsegpt,
    taylor,
    wanda,
    ziplm,
)
from accelsim.prune.word import Score

SCORES: dict[str, Score] = {
    word.name: word
    for word in (
        magnitude.WORD,
        random.WORD,
        wanda.WORD,
        gblm.WORD,
        obs.WORD,
        obert.WORD,
        sparsegpt.WORD,
        ziplm.WORD,
        nowag.WORD,
        taylor.WORD,
        dpruner.WORD,
        dimap.WORD,
        flap.WORD,
    )
}
