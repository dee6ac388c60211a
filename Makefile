# `make check` is exactly what CI runs.
.PHONY: check fmt clippy test test-portable examples doc deny lengths memcheck python engines wheel advisories reliability

check: fmt lengths clippy test test-portable examples doc deny

fmt:
	cargo fmt --all -- --check

clippy:
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

test:
	cargo test --workspace --all-features --locked

# The same tests without vector instructions: what a machine without AVX2 computes.
test-portable:
	PTSM_ISA=portable cargo test --workspace --all-features --locked

# Every head's example, as a reader would run it.
examples:
	@for example in crates/ptsm/examples/*.rs; do \
		cargo run -q -p ptsm --locked --example $$(basename $$example .rs) || exit 1; \
	done

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --all-features --locked

deny:
	cargo deny --all-features check bans licenses sources

# Known holes in the dependencies, by the RustSec database as it was on a day (docs/supply-chain.md). Not part of `check`:
# it wants git and a network.
advisories:
	tools/advisories.sh

# Many more faults of the system than `make test` tries: some sixty points of each command, of which each is a call with a kill
# or an error, and the tests of kills and damage (docs/reliability.md). Not part of `check`: it wants strace, and takes long.
reliability:
	PTSM_FAULTS=60 cargo test -p ptsm-cli --all-features --locked \
		--test faults --test resume --test damage --test reliability -- --nocapture

# No source file over 600 lines, tests included.
lengths:
	@git ls-files '*.rs' '*.py' | xargs wc -l | awk '$$2 != "total" && $$1 > 600 { print "over 600 lines: " $$2 " (" $$1 ")"; bad = 1 } END { exit bad }'

# The kernels' tests under valgrind (up to AVX2, the most that it knows) and under the address sanitizer
# (every set of the machine). Not part of `check`: it wants valgrind, and an unstable compiler flag.
memcheck:
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind -q --error-exitcode=9" \
		cargo test -p ptsm-kernels --lib --release --locked --target x86_64-unknown-linux-gnu \
		--target-dir target/memcheck
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cdebug-assertions" \
		cargo test -p ptsm-kernels --lib --release --locked --target x86_64-unknown-linux-gnu \
		--target-dir target/sanitize

# The Python package on the Pythons of this machine, with the extension that the tests' own profile makes. Not part of
# `check`: it wants Python, and packages from an index; without them it says so.
python:
	cargo build --workspace --all-features --locked
	tools/python/check.sh

# Spark, Ray and joblib beside one process, on 200,000 series: minutes.
engines:
	cargo build --workspace --all-features --locked
	tools/engines/check.sh

# The wheel and the source distribution, in dist/.
wheel:
	tools/python/wheel.sh
