#!/usr/bin/env python3
"""Checks that every relative link in the Markdown files points to something that exists."""
import os
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def main():
    files = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout.split()
    dead = []
    for path in files:
        with open(path, encoding="utf-8") as file:
            for target in LINK.findall(file.read()):
                if re.match(r"[a-z]+:", target) or target.startswith("#"):
                    continue
                if not os.path.exists(os.path.join(os.path.dirname(path), target.split("#")[0])):
                    dead.append(f"{path}: dead link {target}")
    print("\n".join(dead), end="\n" if dead else "")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
