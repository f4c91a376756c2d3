#!/usr/bin/env bash
# Our own images, from programs built here, for nodes that have no registry: what the Dockerfile's targets install.
#
#   images.sh OUT-FOLDER OPERATOR AGENT   writes operator.tar and agent.tar, localhost/millrace/NAME:APP-VERSION
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
out=$1
version=$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$repository/helm/millrace/Chart.yaml")

# image NAME PROGRAM: at the place where the Dockerfile copies it, with the shell that its base image has.
image() {
  local target
  target=$(sed -n "s|^COPY --from=builder /out/millrace-$1 ||p" "$repository/Dockerfile")
  install -s "$2" "$out/millrace-$1"
  python3 "$here/oci_image.py" "$out/$1.tar" "localhost/millrace/$1:$version" --entrypoint "$target" --libraries \
    "$out/millrace-$1=$target" /bin/bash /bin/cat /bin/ls
}

image operator "$2"
image agent "$3"
