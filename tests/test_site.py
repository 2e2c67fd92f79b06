"""The site of `make site`: it builds without a warning, fetches nothing, and all links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
# What a browser fetches by itself; a link that a reader may follow is none of these.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "audio": "src"}


class Page(HTMLParser):
    """Links, what is fetched, and the anchors of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in FETCHED and FETCHED[tag] in found:
            self.fetched.append(found[FETCHED[tag]])


def built(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """What Sphinx says of the pages in `source`; the site is in `site`."""
    words = ["-q", "-W", "--keep-going", "-b", "html", "-c", str(source / "docs"), "-d", str(site / ".trees")]
    command = [sys.executable, "-m", "sphinx", *words, str(source), str(site)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this checkout."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def remote(page: Path) -> list[str]:
    """What the page, or a style sheet, lets a browser fetch from elsewhere."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"url\(['\"]?([^'\")]+)", text) + re.findall(r"@import\s+['\"]([^'\"]+)", text)
    if page.suffix == ".html":
        found += Page(page).fetched
    return [target for target in found if re.match(r"(\w+:)?//", target)]


def dangling(site: Path) -> list[str]:
    """Links of all pages that lead nowhere."""
    pages = {file.resolve(): Page(file) for file in site.rglob("*.html")}
    found = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchors = pages[target].anchors if target in pages and parts.fragment else {parts.fragment}
            if not target.is_file() or parts.fragment not in anchors:
                found.append(f"{file.relative_to(site.resolve())}: {link}")
    return found


def test_every_page_is_there(site: Path) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "examples").glob("*.ipynb")]
    assert len(pages) > 15
    for page in pages:
        assert (site / page.relative_to(ROOT)).with_suffix(".html").is_file(), page
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_nothing_is_asked_of_anybody(site: Path) -> None:
    files = [file for kind in ("*.html", "*.css") for file in site.rglob(kind)]
    assert {target for file in files for target in remote(file)} == set()
    scripts = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.js"))
    # Names of schemas and licences are no requests.
    assert not re.findall(r"(?:fetch|importScripts|import)\(\s*['\"]https?://", scripts)


def test_every_link_leads_somewhere(site: Path) -> None:
    assert sum(len(Page(file).links) for file in site.rglob("*.html")) > 500
    assert dangling(site) == []


def test_what_is_remote_or_leads_nowhere_would_be_noticed(site: Path, tmp_path: Path) -> None:
    text = (site / "README.html").read_text(encoding="utf-8")
    style = "<style>@import '//a.example/b.css'</style>"
    for planted in ('<script src="https://a.example/b.js"></script>', style, '<img src="//a.example/b">'):
        (tmp_path / "a.html").write_text(text.replace("</head>", f"{planted}</head>"), encoding="utf-8")
        assert remote(tmp_path / "a.html"), planted
    (tmp_path / "a.html").write_text('<a href="b.html"></a><a href="a.html#c"></a><a href="#d"></a>')
    assert dangling(tmp_path) == ["a.html: b.html", "a.html: a.html#c", "a.html: #d"]


def test_a_page_with_a_link_to_nowhere_does_not_build(site: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", source / "docs")
    for name in ("README.md", "CHANGELOG.md", "docs/README.md", "docs/glossary.md"):
        (source / name).write_text("# A\n")
    planted = "# A\n\n[a](nowhere.md) [b](glossary.md#nowhere)\n\n### C\n"
    (source / "docs" / "glossary.md").write_text(planted)
    done = built(source, tmp_path / "site")
    assert done.returncode != 0
    for complaint in ("'nowhere.md'", "'nowhere'", "H1 to H3"):
        assert complaint in done.stderr
