#!/usr/bin/env bash
# Style and structure: format, include rules, shell scripts, links in the docs, generated files, and clang-tidy on the files changed since the
# base (--base REV, default the merge base with origin/main, else the last commit; --all for every file; --no-tidy to leave it out).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

base=""
tidy=changed
while [ $# -gt 0 ]; do
  case "$1" in
    --base) base="$2"; shift ;;
    --all) tidy=all ;;
    --no-tidy) tidy=none ;;
    *) echo "check.sh: unknown argument '$1'; use --base REV, --all or --no-tidy" >&2; exit 2 ;;
  esac
  shift
done

scripts/packages.sh build check
failed=0
report() { # NAME STATUS
  if [ "$2" -eq 0 ]; then echo "ok    $1"; else echo "FAIL  $1"; failed=1; fi
}

mapfile -t cpp < <(git ls-files '*.h' '*.cpp')
mapfile -t shell < <(git ls-files '*.sh' .ci/run)

clang-format-14 --dry-run --Werror "${cpp[@]}"
report "clang-format (${#cpp[@]} files)" $?

shellcheck "${shell[@]}"
report "shellcheck (${#shell[@]} files)" $?

python3 scripts/check_includes.py "${cpp[@]}"
report "include rules" $?

python3 scripts/check_links.py
report "links in the docs" $?

if [ -f scripts/gen-api-docs.py ]; then
  python3 scripts/gen-api-docs.py --check
  report "docs/api.md is generated from the CRD" $?
fi

python3 scripts/gen-dashboards.py --check
report "dashboards are generated" $?

python3 scripts/make-load-traces.py --check
report "load traces are generated" $?

if [ "$tidy" != none ]; then
  if [ "$tidy" = all ]; then
    mapfile -t tidy_files < <(git ls-files 'common/*.cpp' 'engine/*.cpp' 'agent/*.cpp' 'operator/*.cpp' 'cli/*.cpp')
  else
    [ -n "$base" ] || base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse -q --verify HEAD~1 || git rev-parse HEAD)
    mapfile -t tidy_files < <(git diff --name-only --diff-filter=AMR "$base" -- 'common/*.cpp' 'engine/*.cpp' 'agent/*.cpp' 'operator/*.cpp' 'cli/*.cpp')
  fi
  if [ ${#tidy_files[@]} -gt 0 ]; then
    cmake --preset tidy >/dev/null || failed=1
    # shellcheck disable=SC2016 # the inner shell expands it
    printf '%s\n' "${tidy_files[@]}" | xargs -P "$(nproc)" -n 1 bash -c 'echo "tidy  $1"
      exec clang-tidy-14 -p build/tidy --extra-arg=-Wno-unknown-warning-option --quiet --warnings-as-errors="*" "$1" 2>/dev/null' tidy
    report "clang-tidy (${#tidy_files[@]} files)" $?
  fi
fi

[ "$failed" -eq 0 ] && echo "check: clean"
exit "$failed"
