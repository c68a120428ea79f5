"""Markdown that the software wrote, as HTML that may stand inside a page."""

from __future__ import annotations

from markupsafe import Markup

FENCE = "---\n"


def to_html(text: str, *, below: int = 0) -> Markup:
    """Return HTML of Markdown; HTML in it is shown, not obeyed, and no picture is fetched.

    Parameters
    ----------
    text : str
        CommonMark with tables; front matter is left out.
    below : int
        How many levels its headings go down.
    """
    from markdown_it import MarkdownIt

    if text.startswith(FENCE):
        text = text.removeprefix(FENCE).partition(f"\n{FENCE}")[2]
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + below, 6)}"
    html = reader.renderer.render(tokens, reader.options, {})
    wide = html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return Markup(wide)  # noqa: S704 (the renderer has escaped what is not its own)
