"""Texts of models and data sets, shown so that they cannot break a page."""

import pytest
from markdown_it import MarkdownIt

from reproduce.evaluation.formatting import quoted_markdown, visible

NASTY = [
    "```python\nx = 1\n```", "~~~\nx", "# Heading\n## More\nText\n===\nText\n---", "<!-- x",
    "</div><script>", "- a\n- b\n\n    code\n1. c\n1) d", "| a | b |\n|---|---|", "> quoted\n\n***",
    "[x]: y\n[x] &amp; ![i](j)", "a\x00b\x1b[31mred\x08\r\nc\rd\u202eevil\u2028e", "*_**__`",
    "\\# \\", "", " \n\t x", "$x$ {y}", "+ a", "12. a", "    indented\n\tcode", "a  \nb\\\nc",
    "http://x.y <http://x.y>", "\ufeffa",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_a_quoted_text_is_shown_as_it_is_and_changes_nothing_after_it(text: str) -> None:
    page = f"# One\n\n{quoted_markdown(text)}\n\n# Two\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    kinds = {token.type for token in tokens}
    assert kinds <= {"heading_open", "heading_close", "blockquote_open", "blockquote_close",
                     "paragraph_open", "paragraph_close", "inline"}  # fmt: skip
    shown = [token.children or [] for token in tokens if token.type == "inline"]
    assert [shown[0][0].content, shown[-1][0].content] == ["One", "Two"]
    parts = [child for children in shown[1:-1] for child in children]
    assert {part.type for part in parts} <= {"text", "hardbreak", "softbreak", "text_special"}
    read = "".join(part.content for part in parts).replace("\u00a0", "")
    assert "".join(read.split()) == "".join(visible(text).split())


def test_control_characters_are_made_visible() -> None:
    assert visible("a\x00\x1b[2J\u202e\r\nb\rc\td") == "a\ufffd\ufffd[2J\ufffd\nb\nc\td"
