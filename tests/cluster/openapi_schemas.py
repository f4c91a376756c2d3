#!/usr/bin/env python3
"""Turns the OpenAPI v3 documents of a running API server into JSON schemas for kubeconform, one file per kind.

usage: openapi_schemas.py FOLDER DOCUMENT...   (documents as `kubectl get --raw /openapi/v3/...` gives them)

The schemas are strict: an object with listed properties accepts no other. Use them with
`kubeconform -strict -schema-location 'FOLDER/{{.ResourceKind}}{{.KindSuffix}}.json'`.
"""
import json
import pathlib
import sys

REFERENCE = "#/components/schemas/"


def convert(node):
    """A schema of OpenAPI 3.0 as a JSON schema of draft 7."""
    result = {}
    for key, value in node.items():
        if key == "$ref":
            result[key] = "#/definitions/" + value.removeprefix(REFERENCE)
        elif key == "properties":
            result[key] = {name: convert(child) for name, child in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            result[key] = convert(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            result[key] = [convert(child) for child in value]
        elif not key.startswith("x-kubernetes-") and key not in ("nullable", "default", "description"):
            result[key] = value
    if "properties" in result and not node.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    if node.get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def file_name(kind):
    """As kubeconform spells it: lower-case kind, first word of the group, version."""
    words = [kind["kind"], kind["group"].split(".")[0], kind["version"]]
    return "-".join(word for word in words if word).lower() + ".json"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for document in sys.argv[2:]:
        schemas = json.loads(pathlib.Path(document).read_text())["components"]["schemas"]
        definitions = {name: convert(schema) for name, schema in schemas.items()}
        for name, schema in schemas.items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                top = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/" + name}
                (folder / file_name(kind)).write_text(json.dumps({**top, "definitions": definitions}))


if __name__ == "__main__":
    main()
