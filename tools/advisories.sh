#!/usr/bin/env bash
# Checks the locked dependencies against the RustSec advisories as they were on a day, which makes the answer one that can
# be repeated: tools/advisories.sh [YYYY-MM-DD]. The database is fetched into target/ (git, a network), or taken from
# ADVISORY_DB, a clone of it.
set -euo pipefail
cd "$(dirname "$0")/.."
day=${1:-2026-11-28}
source=${ADVISORY_DB:-https://github.com/rustsec/advisory-db}
# The name that cargo-deny gives the clone of that address.
clone=target/advisories/advisory-db-3157b0e258782691
if [ ! -d "$clone" ]; then
    mkdir -p target/advisories
    git clone -q "$source" "$clone" || {
        echo "advisories: $source cannot be cloned; ADVISORY_DB=FOLDER names a clone" >&2
        exit 1
    }
fi
commit=$(git -C "$clone" rev-list -1 --before="$day 23:59:59 +0000" --all)
git -C "$clone" -c advice.detachedHead=false checkout -q "$commit"
git -C "$clone" log -1 --format='advisories of %cs (%h)'
cargo deny --all-features --offline check advisories
