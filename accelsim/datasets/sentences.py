"""Movie sentences with human ratings.

They lie in the source archive of a package (Hutto and Gilbert, ICWSM 2014: 10,605 sentences from
rotten.tomatoes.com, mean of 20 ratings from -4 to 4), in an archive of its own.
"""

from __future__ import annotations

from accelsim.datasets.archives import Package, tar_file
from accelsim.datasets.clients import pip_source

SENTENCES = Package(
    what="accuracy on the rated sentences",
    requirement="vaderSentiment==3.3.2",
    file="vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    fetch=pip_source,
)
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
RATED = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def rated_sentences() -> list[tuple[str, float]]:
    """Every sentence with its mean rating, in the order of the file. DatasetError if it cannot be had."""
    inner = tar_file(SENTENCES.content(), INNER)
    lines = tar_file(inner, RATED).decode("utf-8").splitlines()
    rows = (line.split("\t", 2) for line in lines if line.strip())
    return [(text.strip(), float(rating)) for _, rating, text in rows]
