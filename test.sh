#!/usr/bin/env bash
# Installs what the tests need and runs all of them, for each set of features. Skips tools that are
# already installed, and asks for nothing.
#
#     ./test.sh                 every test
#     ./test.sh --long          every test, and afterwards the long versions of some
#     ./test.sh layering        only tests whose name contains the word (arguments go to `cargo test`)
#
# A plain `cargo test` needs none of this: it skips tests that need other software, and reports
# them.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/lib.sh

long=
if [ "${1:-}" = --long ]; then
    long=1
    shift
fi

cat <<'TEXT'
Installs what is missing of: a C and a C++ compiler, Python 3 with the packages of
tests/interop/requirements.txt (in .venv), Node.js with those of tests/interop/package-lock.json,
OpenSSL 3, SoftHSM 2, NSS softokn, OpenSC, p11tool, certutil and PostgreSQL (Debian packages need
root or sudo).
Then compiles and tests three sets of features, and the server: about 20 minutes on two idle cores.
TEXT
[ -z "$long" ] || echo "The long versions afterwards take two to three hours."

ensure_rust
ensure_compilers
ensure_python
ensure_node
ensure_openssl
ensure_soft_tokens
ensure_postgres

# With this variable, a test fails if its tool is missing, instead of being skipped.
export STRONGROOM_REQUIRE=all

times=()
timed() {
    local started=$SECONDS
    echo "== $*"
    "$@"
    times+=("$(printf '%5d s  %s' $((SECONDS - started)) "$*")")
}

# Many tests wait for other processes, so more run at a time than there are processors.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}

timed cargo test --all-features "$@"
if [ $# -eq 0 ]; then
    # These tests read the sources, which are the same for every set of features.
    once=(--skip documentation:: --skip error_texts:: --skip layering:: --skip package:: --skip prose:: --skip public_paths::)
    timed cargo test --no-default-features -- "${once[@]}"
    # The default features are a part of all features and have the same backend. So the tests of
    # single algorithms, of other SDKs and of crashes would only repeat what the first run did.
    timed cargo test -- "${once[@]}" --skip interop:: --skip third_party:: --skip process::crash:: --skip is_cut_off
else
    timed cargo test --no-default-features "$@"
    timed cargo test "$@"
fi

timed cargo test --package strongroom-server "$@"

# The long versions of tests that the runs above shorten: a long stream, thousands of crashes and
# disk faults, damage to every byte, thousands of kills of a database server and every fault of its
# network, and every return value of a token at every call.
if [ -n "$long" ]; then
    long_test() { timed env "$@"; }
    it=(cargo test --all-features --test it -- --nocapture)
    long_test STRONGROOM_STREAM_BYTES=4400000000 cargo test --all-features --test memory -- --nocapture
    long_test STRONGROOM_CRASH_RUNS=2000 STRONGROOM_DISK_FAULTS=all STRONGROOM_BIT_ROT_STEP=1 "${it[@]}" crash:: bit_rot::
    long_test STRONGROOM_TRAIL_KILLS=200 "${it[@]}" trail_kills::
    long_test STRONGROOM_SERVER_KILLS=2000 STRONGROOM_MESSAGE_FAULTS=all STRONGROOM_HISTORIES=500 "${it[@]}" postgres::
    long_test STRONGROOM_GRANTS=50000 cargo test --all-features --lib grants_as_its_quota
    long_test STRONGROOM_HSM_FAULTS=all "${it[@]}" pkcs11::faults:: hsm::kills:: hsm::named_keys:: hsm::interrupted_generations:: cut_off
fi

printf '\n%s\n' "Times:" "${times[@]}"
