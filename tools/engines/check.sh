#!/usr/bin/env bash
# Tests the adapters for Spark and Ray, then forecasts many series by each of them, with a worker killed in the middle and
# without, and compares every value with that of one process. With the extension that `cargo build --workspace` made. Minutes,
# and 1.3 GB of packages: not for every change.
#
#     tools/engines/check.sh [SERIES [FOLDER]]
set -euo pipefail
cd "$(dirname "$0")/../.."
built=target/${PROFILE:-debug}
series=${1:-200000}
folder=${2:-target/engines/data}
environment=target/engines/venv
stage=$PWD/target/engines/stage

# A folder of somebody else stays as it is.
if [ -e "$folder" ] && [ ! -e "$folder/.ptsm-engines" ] && [ "$folder" != target/engines/data ]; then
    echo "$folder: is there, and was not made by this script (name one that is not there)" >&2
    exit 2
fi
rm -rf "$stage" "$folder"
mkdir -p "$stage" "$folder"
touch "$folder/.ptsm-engines"
cp -r python/ptsm "$stage/ptsm"
for library in lib_ptsm.so lib_ptsm.dylib; do
    [ ! -f "$built/$library" ] || cp "$built/$library" "$stage/ptsm/_ptsm.abi3.so"
done
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install -q --disable-pip-version-check \
    pytest polars "pandas>=2.2" "pyarrow>=16" "pyspark>=4.0" "ray>=2.50" joblib
engines="one joblib"
if command -v java >/dev/null; then
    engines="$engines spark"
else
    echo "skipped: Spark, which needs Java 17 or later"
fi
engines="$engines ray"

export PYTHONPATH=$stage
"$environment/bin/python" -m pytest -q -rs -p no:cacheprovider python/tests/test_arrow.py python/tests/test_engines.py
"$environment/bin/python" tools/engines/measure.py make "$folder" --series "$series"
for engine in $engines; do
    "$environment/bin/python" -W ignore tools/engines/measure.py "$engine" "$folder"
done
for engine in ${engines#one joblib}; do
    "$environment/bin/python" -W ignore tools/engines/measure.py "$engine" "$folder" --kill
done
