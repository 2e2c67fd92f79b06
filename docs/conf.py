"""The site, built by `make site` from README.md, CHANGELOG.md and this folder: nothing comes from a network.

Sphinx reads the pages where they are, so that their links are those that a reader of the files follows. The
menu is that of docs/README.md. Links to sources and results become copies of these beside the pages.
"""

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from accelsim import __version__

ROOT = Path(__file__).resolve().parents[1]

project = "accelsim"
version = release = __version__
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "docs/examples/*.ipynb"]
# Not looked into.
exclude_patterns = ["accelsim", "benchmarks", "build", "kernels", "rtl", "tests", ".*"]
nitpicky = True
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebook holds its outputs, and a test makes them anew
highlight_language = "none"

html_theme = "furo"
html_title = f"accelsim {version}"
html_copy_source = False
html_show_copyright = False


def menu() -> str:
    """Hidden tables of contents: a caption for each kind of reader, each page where it is named first."""
    parts = re.split(r"^## (.*)$", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"), flags=re.M)
    seen = {"README.md"}
    text = _toctree("", ["docs/README"])
    for caption, body in zip(parts[1::2], parts[2::2], strict=True):
        pages = [name for name in re.findall(r"\]\(([\w/]+\.(?:md|ipynb))\)", body) if name not in seen]
        seen.update(pages)
        text += _toctree(caption, [f"docs/{name.rpartition('.')[0]}" for name in dict.fromkeys(pages)])
    return text + _toctree("Reference", ["docs/glossary", "CHANGELOG"])


def _toctree(caption: str, pages: list[str]) -> str:
    options = [":hidden:", f":caption: {caption}"] if caption else [":hidden:"]
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def read(_app: Sphinx, page: str, source: list[str]) -> None:
    """The first page gets the menu; a folder has no page, so that links to folders are plain words."""
    folder = (ROOT / page).parent

    def plain(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    if not page.startswith("docs/examples/"):
        source[0] = re.sub(r"\[([^\]]+)\]\(([^)#:]+)\)", plain, source[0])
    if page == root_doc:
        source[0] += menu()


def begin_with_the_first_page(app: Sphinx, error: Exception | None) -> None:
    """A site begins at index.html."""
    if error is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", read)
    app.connect("build-finished", begin_with_the_first_page)
