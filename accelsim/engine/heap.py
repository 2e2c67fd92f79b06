"""A queue of ids by time, each id in it at most once; compiled.

`order` is a binary heap of ids, `place[id]` its index there (-1: not in the queue), `times[id]` its
time. `size` is an array of one. The earliest id is `order[0]`.
"""

from accelsim.compiled import inlined


@inlined
def schedule(order, place, times, size, which, time):
    """Put `which` into the queue at `time`, or move it there if it is in it later."""
    i = place[which]
    if i < 0:
        i = size[0]
        size[0] += 1
    elif times[which] <= time:
        return
    times[which] = time
    while i > 0 and times[order[(i - 1) // 2]] > time:
        order[i] = order[(i - 1) // 2]
        place[order[i]] = i
        i = (i - 1) // 2
    order[i] = which
    place[which] = i


@inlined
def take_first(order, place, times, size):
    """Remove the earliest id from the queue and return it."""
    first = order[0]
    place[first] = -1
    size[0] -= 1
    count = size[0]
    if count == 0:
        return first
    last = order[count]
    time = times[last]
    i = 0
    while 2 * i + 1 < count:
        child = 2 * i + 1
        if child + 1 < count and times[order[child + 1]] < times[order[child]]:
            child += 1
        if times[order[child]] >= time:
            break
        order[i] = order[child]
        place[order[i]] = i
        i = child
    order[i] = last
    place[last] = i
    return first
