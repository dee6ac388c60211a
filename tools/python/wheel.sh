#!/usr/bin/env bash
# Builds the wheel and the source distribution into dist/, and says how large they are. On Linux the wheel runs where glibc
# is 2.17 or later (manylinux2014), by the linker of zig, or else 2.28 or later.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
environment=target/python/build
[ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
PATH=$PWD/$environment/bin:$PATH
pip install -q --disable-pip-version-check "maturin>=1.16,<2"

options=()
if [ "$(uname)" = Linux ]; then
    if pip install -q --disable-pip-version-check ziglang; then
        options=(--zig --compatibility manylinux2014)
    else
        options=(--compatibility manylinux_2_28)
    fi
fi
maturin build --release --locked "${options[@]}" --out dist
maturin sdist --out dist
ls -l dist
