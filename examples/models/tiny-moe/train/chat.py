"""Renders conversations with a checkpoint's chat_template.jinja, as serving engines do."""

import json
from pathlib import Path

from jinja2 import Environment, TemplateError
from jinja2.ext import loopcontrols


def _raise(message):
    raise TemplateError(message)


def load_template(path):
    """Compiles the template with the whitespace rules and the plain JSON of the Hugging Face environment."""
    env = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = lambda value, **kw: json.dumps(value, ensure_ascii=False, **kw)
    env.globals["raise_exception"] = _raise
    return env.from_string(Path(path).read_text(encoding="utf-8"))


def render(template, messages, tools=None, add_generation_prompt=True, **variables):
    return template.render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt, **variables)
