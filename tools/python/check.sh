#!/usr/bin/env bash
# Tests the Python package on the Pythons of this machine (3.10 and 3.13, or else whichever is there), with the extension
# that `cargo build --workspace` made; then checks its types and runs the tutorial. Prints that it was skipped where there
# is no Python, or its packages cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
built=target/${PROFILE:-debug}
work=target/python

# A Python by its version: by name, or among those of pyenv.
found() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1"*/bin/python; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

pythons=()
for version in 3.10 3.13; do
    python=$(found "$version")
    [ -z "$python" ] || pythons+=("$python")
done
if [ ${#pythons[@]} -eq 0 ]; then
    python=$(found 3)
    [ -z "$python" ] || pythons+=("$python")
fi
if [ ${#pythons[@]} -eq 0 ]; then
    echo "skipped: there is no Python of 3.10 or later"
    exit 0
fi

# The package as the wheel installs it.
rm -rf "$work/stage"
mkdir -p "$work/stage"
cp -r python/ptsm "$work/stage/ptsm"
for library in lib_ptsm.so lib_ptsm.dylib; do
    [ ! -f "$built/$library" ] || cp "$built/$library" "$work/stage/ptsm/_ptsm.abi3.so"
done
stage=$PWD/$work/stage

# Libraries whose estimators and engines the package has adapters for; on the last Python alone, as they are large.
extras="sktime aeon"
last=${pythons[-1]}
for python in "${pythons[@]}"; do
    name=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    environment=$work/venv-$name
    [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
    packages="pytest numpy pandas polars pyarrow tqdm scikit-learn mypy"
    # shellcheck disable=SC2086
    if ! "$environment/bin/python" -m pip install -q --disable-pip-version-check $packages; then
        echo "skipped: the packages of the tests cannot be installed for Python $name"
        exit 0
    fi
    # Models as ONNX files are run where it can be installed; their other tests need no runtime.
    "$environment/bin/python" -m pip install -q --disable-pip-version-check onnxruntime || echo "skipped: ONNX Runtime"
    if [ "$python" = "$last" ]; then
        for extra in $extras; do
            "$environment/bin/python" -m pip install -q --disable-pip-version-check "$extra" || echo "skipped: $extra"
        done
    fi
    echo "Python $name:"
    PYTHONPATH=$stage "$environment/bin/python" -m pytest -q -rs -p no:cacheprovider
    PYTHONPATH=$stage "$environment/bin/python" -m doctest docs/python.md
done

# On the last of them.
MYPYPATH=$stage "$environment/bin/mypy" --cache-dir "$work/mypy" -p ptsm
# Methods that scikit-learn makes at run time, and modules of libraries that are not there, have no stub to compare with.
allowed=$PWD/$work/allowed.txt
{
    echo 'ptsm\.(sklearn|aeon)\..*\.set_[a-z_]*_request'
    # Its metaclass is that of a base without types.
    echo 'ptsm\.aeon\.PatchTSMixer(Classifier|Regressor)'
} >"$allowed"
for extra in $extras pyspark ray; do
    "$environment/bin/python" -c "import $extra" 2>/dev/null || echo "ptsm\.${extra#py}" >>"$allowed"
done
(cd "$stage" && "$OLDPWD/$environment/bin/python" -m mypy.stubtest --mypy-config-file "$OLDPWD/pyproject.toml" \
    --allowlist "$allowed" --ignore-unused-allowlist ptsm)
