"""How important each weight is: one word a file."""

from accelsim.prune.scores import gblm, magnitude, nowag, obs, random, sparsegpt, taylor, wanda
from accelsim.prune.word import Score

SCORES: dict[str, Score] = {
    word.name: word
    for word in (
        magnitude.WORD,
        random.WORD,
        wanda.WORD,
        gblm.WORD,
        obs.WORD,
        sparsegpt.WORD,
        nowag.WORD,
        taylor.WORD,
    )
}
