"""Hook: formulas become MathML when the site is built; browsers draw it without a script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
NUMBER = re.compile(r"\\tag\{(\d+)\}")


def on_page_content(content: str, /, **_: Any) -> str:
    """Replace each formula, and set its number at the right."""
    return FORMULA.sub(_mathml, content)


def _mathml(formula: re.Match[str]) -> str:
    latex = html.unescape(formula["latex"])
    if formula["tag"] == "span":
        return convert(latex)
    number = NUMBER.search(latex)
    label = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="formula">{convert(NUMBER.sub("", latex), display="block")}{label}</div>'
