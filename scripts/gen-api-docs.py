#!/usr/bin/env python3
"""Writes docs/api.md from crds/millrace.dev_modeldeployments.yaml; with --check only says whether it is up to date.

Standard library only, hence the small reader below: it knows the YAML that the CRD is written in (block maps and lists,
flow maps and lists on one line, quoted and plain scalars, folded text), not all of YAML, and refuses the rest.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRD = ROOT / "crds/millrace.dev_modeldeployments.yaml"
DOCS = ROOT / "docs/api.md"
KEY = re.compile(r"([A-Za-z0-9_./-]+):(?: (.*))?$")


class Reader:
    """Block structure by indentation; `lines` are (indent, text) without comments and blank lines."""

    def __init__(self, text):
        raw = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        self.lines = [(len(line) - len(line.lstrip()), line.strip()) for line in raw]
        self.at = 0

    def block(self, indent):
        is_list = self.lines[self.at][1].startswith("- ")
        result = [] if is_list else {}
        while self.at < len(self.lines) and self.lines[self.at][0] == indent:
            text = self.lines[self.at][1]
            if is_list:
                result.append(self.item(indent, text[2:]))
            else:
                match = KEY.match(text)
                if not match:
                    raise ValueError(f"not a key: {text}")
                result[match[1]] = self.value(indent, match[2])
        return result

    def item(self, indent, text):
        if not KEY.match(text):
            self.at += 1
            return scalar(text)
        self.lines[self.at] = (indent + 2, text)  # a map that starts on the line of its dash
        return self.block(indent + 2)

    def value(self, indent, text):
        self.at += 1
        if text == ">-":
            return " ".join(self.deeper(indent))
        if text:
            return flow(text)
        return self.block(self.lines[self.at][0])

    def deeper(self, indent):
        while self.at < len(self.lines) and self.lines[self.at][0] > indent:
            yield self.lines[self.at][1]
            self.at += 1


def flow(text):
    if text == "{}":
        return {}
    if text.startswith("{") and text.endswith("}"):
        return dict((key, scalar(value)) for key, value in (pair.split(": ") for pair in text[1:-1].split(", ")))
    if text.startswith("[") and text.endswith("]"):
        return [scalar(value) for value in text[1:-1].split(", ")]
    return scalar(text)


def scalar(text):
    if text[0] in "\"'" and text[-1] == text[0]:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text


def type_of(schema):
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema["type"] == "array":
        return "list of " + type_of(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        return "map to " + type_of(schema["additionalProperties"])
    return schema.get("format", schema["type"]) if schema["type"] == "string" else schema["type"]


def plain(value):
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "{}"
    return str(value)


def limits_of(schema):
    """The bounds of a field in words, those of a list's items after those of the list."""
    found = []
    if "enum" in schema:
        found.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "minimum" in schema and "maximum" in schema:
        found.append(f"{schema['minimum']} to {schema['maximum']}")
    elif "minimum" in schema:
        found.append(f"at least {schema['minimum']}")
    for key, words in (("maxLength", "at most {} characters"), ("maxItems", "at most {} items"),
                       ("maxProperties", "at most {} entries")):
        if key in schema:
            found.append(words.format(schema[key]))
    if schema.get("x-kubernetes-list-type") == "set":
        found.append("no item twice")
    if schema.get("x-kubernetes-list-map-keys"):
        found.append("one item for each " + ", ".join(f"`{key}`" for key in schema["x-kubernetes-list-map-keys"]))
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        found.append("other fields as in a pod")
    return found


def row(name, schema, required):
    default = f"`{plain(schema['default'])}`" if schema.get("default", {}) != {} else ""
    text = schema.get("description", "")
    limits = limits_of(schema)
    if limits:
        text += " *" + "; ".join(limits) + ".*"
    cells = [f"`{name}`" + (" (required)" if required else ""), type_of(schema), default, text]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def rules_of(schema, path):
    """(path, message) of every CEL rule at or below, down to the next section."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield path, rule["message"]
    for name, child in schema.get("properties", {}).items():
        if not inner(child).get("properties"):
            yield from rules_of(inner(child), f"{path}.{name}" if path else name)


def inner(schema):
    return schema.get("items", schema)


def section(path, schema, lines):
    lines += [f"## {path}", "", inner(schema)["description"], "", "| field | type | default | meaning |", "|---|---|---|---|"]
    schema = inner(schema)
    required = schema.get("required", [])
    lines += [row(name, child, name in required) for name, child in schema["properties"].items()]
    rules = list(rules_of(schema, path))
    if rules:
        lines += ["", "Refused otherwise:", ""] + [f"- `{where}`: {message}" for where, message in rules]
    lines.append("")
    for name, child in schema["properties"].items():
        if inner(child).get("properties"):
            section(f"{path}.{name}" + ("[]" if "items" in child else ""), child, lines)


def page(crd):
    names = crd["spec"]["names"]
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [f"# {names['kind']}", "",
             f"Generated from `{CRD.relative_to(ROOT)}` by `scripts/gen-api-docs.py`; do not edit.", "",
             schema["description"], "",
             f"- API: `{crd['spec']['group']}/{version['name']}`, {crd['spec']['scope'].lower()}",
             f"- kubectl: `{names['plural']}`, short `{', '.join(names['shortNames'])}`, "
             f"category `{', '.join(names['categories'])}`",
             "- Subresources: `status`; `scale` (`kubectl scale`, HPA and KEDA write `spec.replicas`)",
             "- The API server fills in the defaults and refuses what breaks a limit or a rule.", ""]
    lines += [f"- `metadata.name`: {rule['message']}" for rule in schema["x-kubernetes-validations"]] + [""]
    for part in ("spec", "status"):
        section(part, schema["properties"][part], lines)
    lines += ["## Columns of `kubectl get`", "", "| column | from | shown |", "|---|---|---|"]
    for column in version["additionalPrinterColumns"]:
        shown = "with `-o wide`" if column.get("priority") else "always"
        lines.append(f"| {column['name']} | `{column['jsonPath']}` | {shown} |")
    return "\n".join(lines) + "\n"


def main():
    text = page(Reader(CRD.read_text()).block(0))
    if sys.argv[1:] == ["--check"]:
        if DOCS.read_text() != text:
            sys.exit("docs/api.md is out of date: run scripts/gen-api-docs.py")
    elif not sys.argv[1:]:
        DOCS.write_text(text)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
