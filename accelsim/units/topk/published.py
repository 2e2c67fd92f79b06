"""What the latency model of SpAtten's authors says of their engine; `published_cycles` follows its rule."""

WIDTHS = (1, 4, 8, 16, 32)
MEAN_CYCLES = {
    (64, 32): (210, 74, 49, 37, 31),
    (128, 64): (427, 131, 80, 56, 43),
    (256, 32): (722, 198, 116, 75, 53),
    (512, 64): (1430, 374, 207, 123, 81),
    (1024, 512): (3502, 908, 465, 262, 154),
    (1024, 307): (3349, 860, 454, 244, 146),
    (1024, 102): (2765, 708, 380, 201, 123),
    (2048, 64): (4525, 1233, 631, 327, 188),
    (4096, 32): (8528, 2160, 1102, 587, 307),
}
"""By elements and 0-based target (artefact, TopKLatencyModel: 400 trials), at each of WIDTHS."""
