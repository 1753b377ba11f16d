#!/usr/bin/env bash
# All tests, in two parts that share what takes long to make (a trained captioner, a whole run). Unit and integration
# tests use all cores, one file at a time on each. What kills processes at moments of a run's phases runs alone.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KNOWLIP_TESTS_SHARED=$(mktemp -d)
export KNOWLIP_TESTS_SHARED
trap 'rm -rf "$KNOWLIP_TESTS_SHARED"' EXIT
status=0

part() {
    .venv/bin/python -m pytest -q "$@"
    local ended=$?
    [ $ended -eq 5 ] || [ $ended -le $status ] || status=$ended  # 5: -k chose no test of this part
}

# In the order of collection: integration tests first, as one of them takes longer than many files of unit tests.
part tests/integration tests/unit -n 2 --dist loadfile --no-loadscope-reorder "$@"
part tests/chaos "$@"
exit $status
