"""When a network is pruned while it trains: one word a file; see `accelsim.training.courses`."""

from accelsim.prune.courses import gradual, iterative, oneshot, soup
from accelsim.prune.word import Schedule

SCHEDULES: dict[str, Schedule] = {
    word.name: word for word in (oneshot.WORD, gradual.WORD, iterative.WORD, soup.WORD)
}
