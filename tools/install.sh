#!/usr/bin/env bash
# Makes .venv from requirements.lock, once. Called by every target of the Makefile; returns at once when
# the environment is up to date. The stamp is written last, so an interrupted installation is redone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3.11}
stamp=.venv/.installed
lock_hash=$(sha256sum requirements.lock | cut -d' ' -f1)
project_hash=$(sha256sum pyproject.toml | cut -d' ' -f1)
torch_index=https://download.pytorch.org/whl/cpu

fail() { printf 'knowlip: %s\n' "$*" >&2; exit 1; }
say() { printf 'knowlip: %s\n' "$*" >&2; }

up_to_date() { [ -x .venv/bin/knowlip ] && [ "$(cat "$stamp" 2>/dev/null)" = "$lock_hash $project_hash" ]; }
up_to_date && exit 0

exec 9>.venv.lock  # `make run` and `make test` at the same time: the second waits, then finds it made
flock 9
up_to_date && exit 0

command -v "$python" >/dev/null ||
    fail "'$python' was not found. Install Python 3.11 (Debian 12: apt install python3 python3-venv)," \
         "or name it: make run PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "'$python' is $("$python" -V 2>&1); the lock holds packages for Python 3.11. Set PYTHON=/path/to/python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "'$python' cannot make virtual environments. On Debian: apt install python3.11-venv"
command -v g++ >/dev/null || fail "g++ was not found; DeepSpeed compiles a small part with it (Debian: apt install g++)"

if [ "$(cut -d' ' -f1 "$stamp" 2>/dev/null)" != "$lock_hash" ]; then
    say "making .venv from requirements.lock (a few minutes, once)"
    rm -f "$stamp"
    "$python" -m venv --clear .venv
    # No dependency is resolved: the lock is complete, and vLLM's wish for torchvision must not be granted.
    pip=(.venv/bin/python -m pip --disable-pip-version-check install --no-deps -qq)
    pin() { grep -iE "^$1==" requirements.lock || fail "requirements.lock has no line for $1"; }

    "${pip[@]}" "$(pin setuptools)" "$(pin wheel)" "$(pin ninja)"
    # Where pip already finds the CPU build (a mirror, a folder of wheels) it is taken from there.
    "${pip[@]}" "$(pin torch)" 2>/dev/null || {
        say "taking $(pin torch) from $torch_index"
        "${pip[@]}" --index-url "$torch_index" "$(pin torch)"
    }
    rest=$(mktemp)
    trap 'rm -f "$rest"' EXIT
    grep -viE '^(torch|deepspeed)==' requirements.lock > "$rest"
    "${pip[@]}" -r "$rest"
    # A source package whose build imports the torch above; its ops are compiled when first used.
    DS_BUILD_OPS=0 "${pip[@]}" --no-build-isolation "$(pin deepspeed)"
fi
.venv/bin/python -m pip --disable-pip-version-check install -qq --no-deps --no-build-isolation --editable .
echo "$lock_hash $project_hash" > "$stamp"
say "environment ready in .venv"
