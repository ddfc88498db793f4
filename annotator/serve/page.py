"""The OpenAPI description as one page that needs no network, with a form to try each request."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from typing import Any

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "textarea{width:100%;box-sizing:border-box;font:.9rem/1.4 monospace}"
    "pre{background:#f4f4f4;padding:.5rem;overflow:auto;max-height:30rem;white-space:pre-wrap}"
)
_SCRIPT = """
for (const form of document.forms) form.addEventListener("submit", async event => {
  event.preventDefault();
  const {kind, body} = form.elements, out = form.querySelector("pre");
  out.hidden = false;
  out.textContent = "…";
  try {
    const sent = body ? {method: "POST", headers: {"Content-Type": kind.value}, body: body.value} : {};
    const answer = await fetch(form.dataset.path, sent);
    let text = await answer.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch {}
    out.textContent = `${answer.status} ${answer.statusText}\\n${text}`;
  } catch (error) {
    out.textContent = String(error);
  }
});
"""
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()

# The page's own script and style, requests to this server, nothing else.
POLICY = (
    f"default-src 'none'; script-src 'sha256-{_DIGEST}'; style-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


def docs_page(schema: Mapping[str, Any]) -> str:
    """Return the page that shows an OpenAPI description; paths are relative, so that it works below a sub-path."""
    rows = [
        _operation(method, path, item) for path, methods in schema["paths"].items() for method, item in methods.items()
    ]
    title = html.escape(f"{schema['info']['title']} {schema['info']['version']}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><link rel=icon href='data:,'><title>{title}</title>"
        f"<style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{html.escape(schema['info']['description'])} "
        f"<a href=openapi.json>openapi.json</a>{''.join(rows)}<script>{_SCRIPT}</script></html>"
    )


def _operation(method: str, path: str, item: Mapping[str, Any]) -> str:
    content = item.get("requestBody", {}).get("content", {})
    fields = ""
    if content:
        example = json.dumps(content["application/json"].get("example"), indent=2, ensure_ascii=False)
        kinds = "".join(f"<option>{html.escape(kind)}" for kind in content)
        area = f"<textarea name=body rows=6 spellcheck=false aria-label=Body>{html.escape(example)}</textarea>"
        fields = f"<p><label>Body: <select name=kind>{kinds}</select></label>{area}"
    answers = "".join(f"<li>{key}: {html.escape(value['description'])}" for key, value in item["responses"].items())
    return (
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(item['summary'])}"
        f'<form data-path="{html.escape(path.lstrip("/"))}">{fields}<p><button>Try it</button><pre hidden></pre></form>'
        f"<ul>{answers}</ul>"
    )
