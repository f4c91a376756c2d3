#!/usr/bin/env bash
# Makes the Python environment of the client tests (the official openai package) outside the tree, once.
set -euo pipefail
venv="${MILLRACE_CACHE:-$HOME/.cache/millrace}/venv-test"
wanted="openai==3.52.0"

if [ -f "$venv/.done" ] && [ "$(cat "$venv/.done")" = "$wanted" ]; then
  echo "venv: present"
  exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted"
echo "$wanted" >"$venv/.done"
echo "venv: made with $wanted"
