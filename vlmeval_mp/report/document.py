"""Builds one self-contained HTML file: styles, scripts and data are inside, and it loads nothing from elsewhere.

Owns the frame around the pages and what keeps a hostile reply from acting: templates escape, data is JSON in script
tags that are never run, with `<`, `>` and `&` written as escapes, and a content security policy allows the scripts and
the style of this file by their digests alone. Knows no run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vlmeval_mp import __version__
from vlmeval_mp.core.jsonfiles import without_halves
from vlmeval_mp.report.pages import Page

if TYPE_CHECKING:
    import jinja2

ASSETS = Path(__file__).parent / "assets"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment


def render(template: str, **values: Any) -> Markup:
    """Return a template of `assets/` filled in; every value is escaped."""
    return Markup(_environment().get_template(template).render(**values))  # noqa: S704 - autoescaped


def asset(name: str) -> str:
    """Return the text of a style sheet or script in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def embedded(value: object) -> Markup:
    """Return `value` as JSON that can stand in a script tag, whatever texts are in it."""
    text = without_halves(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing is left in it that ends a script tag or begins a comment


def document(name: str, pages: Mapping[str, Page], facts: Mapping[str, Any]) -> bytes:
    """Return the whole file. `name` is its title, `facts` what its head shows: "chips" and "subtitle"."""
    style = asset("style.css")
    scripts = [asset("frame.js"), *dict.fromkeys(asset(s) for page in pages.values() for s in page.scripts)]
    html = render(
        "document.html",
        name=name,
        facts=facts,
        pages=pages,
        keys=[key for page in pages.values() for key in page.keys],
        version=__version__,
        policy=_policy(style, scripts),
        style=Markup(style),  # noqa: S704 - our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own files
        data={key: embedded(value) for page in pages.values() for key, value in page.data.items()},
    )
    return html.encode("utf-8", "replace")


def _policy(style: str, scripts: list[str]) -> str:
    """Return the policy: our style and scripts by digest, pictures as data or beside the file, nothing else at all."""
    allowed = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; img-src data: 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
