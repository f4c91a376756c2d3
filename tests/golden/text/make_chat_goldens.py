"""Renders every conversation with Jinja and tiny-moe's chat template, thinking on and off by default: chat.json."""

import json
import sys
from pathlib import Path

from jinja2 import Environment
from jinja2.exceptions import TemplateError

from conversations import CONVERSATIONS

FOLDER = Path(__file__).resolve().parent
TEMPLATE = FOLDER.parents[2] / "examples/models/tiny-moe/chat_template.jinja"
ON = "enable_thinking is defined and enable_thinking is false"
OFF = "not (enable_thinking is defined and enable_thinking is true)"


def compile_template(source):
    def raise_exception(message):
        raise TemplateError(message)

    env = Environment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    env.globals["raise_exception"] = raise_exception
    return env.from_string(source)


def render(template, messages, tools, options):
    variables = {"add_generation_prompt": True, **options}
    try:
        return {"text": template.render(messages=messages, tools=tools, **variables)}
    except (TemplateError, TypeError) as error:
        return {"error": str(error)}


def main():
    source = Path(sys.argv[1] if len(sys.argv) > 1 else TEMPLATE).read_text(encoding="utf-8")
    assert source.count(ON) == 1
    variants = {"on": compile_template(source), "off": compile_template(source.replace(ON, OFF))}
    cases = []
    for name, messages, tools, options in CONVERSATIONS:
        case = {"name": name, "messages": messages, "tools": tools, "options": options}
        case |= {variant: render(template, messages, tools, options) for variant, template in variants.items()}
        assert ("error" in case["on"]) == name.startswith("error_"), case
        cases.append(case)
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER / "chat.json"
    out.write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n", encoding="utf-8")
    print(len(cases), "conversations")


if __name__ == "__main__":
    main()
