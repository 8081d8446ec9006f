"""runbook.md as a page: the few forms of Markdown that it uses, and an anchor for every alert."""

from __future__ import annotations

import html
import re

from perfloop_base import pages

NOTE = "<!-- Written by `perfloop generate` from runbook.md: change that file, not this one. -->\n"
OWN_STYLE = """\
body { max-width: 52rem; }
h2 { padding: 0 .4rem; margin-left: -.4rem; border-radius: .35rem; }
h2:target { background: var(--fair-soft); color: var(--fair); }
nav { columns: 3 12rem; font-size: .87rem; }
nav a { display: block; }
"""
HEADING = re.compile(r"^(#+) (.+)$")


def list_sections(markdown: str) -> list[str]:
    """Return the alerts that have a section."""
    return re.findall(r"^## (\w+)$", markdown, re.MULTILINE)


def render_page(markdown: str) -> str:
    """Return the runbook as one HTML page with a list of its sections."""
    links = "".join(f'<a href="#{name}">{name}</a>' for name in sorted(list_sections(markdown)))
    blocks = [_render_block(block) for block in re.split(r"\n\n+", markdown.strip())]
    body = "\n".join([blocks[0], f"<nav>{links}</nav>", *blocks[1:]])
    # The note stands first: by it the generator knows its own file, and reads no more than the beginning.
    head = pages.head("Runbook", OWN_STYLE).replace("\n", f"\n{NOTE}", 1)
    return f"{head}<main>\n{body}\n</main>\n</body>\n</html>\n"


def _render_block(block: str) -> str:
    """Return the heading, the text and the points of one block."""
    lines = block.splitlines()
    heads = [match for match in map(HEADING.match, lines) if match]
    text = " ".join(line for line in lines if not line.startswith(("#", "- ")))
    points = "".join(f"<li>{_render_words(line[2:])}</li>" for line in lines if line.startswith("- "))
    rendered = [f'<h{len(head[1])} id="{head[2]}">{_render_words(head[2])}</h{len(head[1])}>' for head in heads]
    rendered += [f"<p>{_render_words(text)}</p>"] if text else []
    return "\n".join([*rendered, *([f"<ul>{points}</ul>"] if points else [])])


def _render_words(text: str) -> str:
    words = html.escape(text, quote=False)
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", words)
