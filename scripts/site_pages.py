"""The pages of the site that are no Markdown in ``docs`` (a hook of mkdocs): README, cards and others, and notebooks.

In the repository links are relative to the file; here a link to a page leads to the page, and one to a source file,
which is no page, becomes its text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    **{f"generators/assets/{card.name}": f"cards/{card.name}" for card in (ROOT / "generators/assets").glob("*.md")},
}
"""Where a file of the repository lies on the site; those in ``docs`` keep their names."""
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def site_path(source: str) -> str | None:
    """Where the repository's file ``source`` lies on the site, or None."""
    if source in PAGES:
        return PAGES[source]
    inside = source.removeprefix("docs/")
    return re.sub(r"\.ipynb$", ".md", inside) if inside != source and (ROOT / source).is_file() else None


def relinked(text: str, source: str, page: str) -> str:
    """``text`` of the repository's file ``source`` with the links that ``page`` of the site needs."""

    def link(match: re.Match[str]) -> str:
        words, (target, hash_, anchor) = match[1], match[2].partition("#")
        if re.match(r"[a-z]+:", match[2]) or not target:
            return match[0]
        found = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if found is None:
            return words
        return f"[{words}]({posixpath.relpath(found, posixpath.dirname(page) or '.')}{hash_}{anchor})"

    return LINK.sub(link, text)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside ``docs``, and a page for each notebook with its pictures."""
    for source, page in PAGES.items():
        content = relinked((ROOT / source).read_text(), source, page)
        files.append(File.generated(config, page, content=content))
    for notebook in sorted((ROOT / "docs").rglob("*.ipynb")):
        place = notebook.relative_to(ROOT / "docs")
        content, resources = MarkdownExporter().from_filename(str(notebook))
        files.append(File.generated(config, place.with_suffix(".md").as_posix(), content=content))
        for name, picture in resources["outputs"].items():
            files.append(File.generated(config, place.with_name(name).as_posix(), content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Mend the links of the pages in ``docs``; the others are mended already."""
    path = page.file.src_uri
    return markdown if path in PAGES.values() else relinked(markdown, f"docs/{path}", path)
