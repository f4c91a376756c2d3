#!/usr/bin/env python3
"""Checks that includes point one way, that heavy libraries stay behind their one file, and that every header has #pragma once.

Rules (docs/architecture.md): operator -> common <- agent -> engine's public headers; cli may use all three; engine knows neither HTTP nor
Kubernetes; headers in sub-folders of engine/ are private to engine/ (agent and cli may use engine/text, which is text only).
"""
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# folder -> folders whose headers it may include
ALLOWED = {
    "common": ("common/",),
    "engine": ("common/error.h", "common/file.h", "common/hash.h", "common/log.h", "common/stop.h", "engine/"),
    "agent": ("common/", "engine/", "agent/"),
    "operator": ("common/", "operator/"),
    "cli": ("common/", "engine/", "agent/", "operator/", "cli/"),
    "tests": ("common/", "engine/", "agent/", "operator/", "cli/", "tests/"),
}
# library header prefix -> files that may include it
CONFINED = {
    "boost/beast": ("common/http_", "tests/"),
    "cpprest/": ("operator/kube/client.cpp",),
    "pplx/": ("operator/kube/client.cpp",),
    "cuda": ("engine/backend/cuda/",),
    "nccl": ("engine/comm/nccl.cpp",),
}
ENGINE_PRIVATE = re.compile(r"engine/(model|backend|comm|runtime)/")
# The agent builds the communicators of its group; nothing else of the engine's inside is its business.
ENGINE_PRIVATE_EXCEPTIONS = {"agent": ("engine/comm/comm.h",)}


def faults(path):
    top = path.split("/")[0]
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    if path.endswith(".h") and "#pragma once" not in lines:
        yield f"{path}: a header without #pragma once"
    own = path[:-4] + ".h" if path.endswith(".cpp") else None
    first = True
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        for prefix, files in CONFINED.items():
            if name.startswith(prefix) and not path.startswith(files):
                yield f"{path}:{number}: <{name}> is allowed only in {', '.join(files)}"
        if quote == '"':
            if top in ALLOWED and not name.startswith(ALLOWED[top]):
                yield f"{path}:{number}: {top}/ must not include \"{name}\""
            exceptions = ENGINE_PRIVATE_EXCEPTIONS.get(top, ())
            if top in ("agent", "operator", "common") and ENGINE_PRIVATE.match(name) and name not in exceptions:
                yield f"{path}:{number}: \"{name}\" is private to engine/"
        if first and own and quote == '"' and name != own and own in [INCLUDE.match(l).group(2) for l in lines if INCLUDE.match(l)]:
            yield f"{path}:{number}: its own header \"{own}\" comes first"
        first = False


def main():
    found = [fault for path in sys.argv[1:] for fault in faults(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
