#!/usr/bin/env bash
# Installs what the tests need and runs all of them, for each set of features. Skips tools that are
# already installed.
#
#     ./test.sh                 everything
#     ./test.sh layering        only tests whose name contains the word (arguments go to `cargo test`)
#
# A plain `cargo test` needs none of this: it skips tests that need other software, and reports
# them.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/lib.sh

ensure_rust
ensure_compilers
ensure_python
ensure_node
ensure_openssl
ensure_soft_tokens

# With this variable, a test fails if its tool is missing, instead of being skipped.
export STRONGROOM_REQUIRE=all

for features in "" "--no-default-features" "--all-features"; do
    echo "== cargo test $features"
    # shellcheck disable=SC2086
    cargo test $features "$@"
done

# Then runs the long versions of tests that the runs above shorten: a long stream, thousands of
# crashes and disk faults, damage to every byte, and every return value of a token. This takes many
# minutes: mostly crashes and disk faults, then the tests with HSMs. `cargo test` reports the time
# of each test.
if [ $# -eq 0 ]; then
    echo "== a stream of more bytes than 32 bits count"
    STRONGROOM_STREAM_BYTES=4400000000 cargo test --test memory -- --nocapture
    echo "== crashes, faults of the disk and bit rot, at length"
    STRONGROOM_CRASH_RUNS=2000 STRONGROOM_DISK_FAULTS=all STRONGROOM_BIT_ROT_STEP=1 \
        cargo test --test it -- --nocapture crash:: bit_rot::
    echo "== 200 kills of processes that share a store, a trail and an anchor"
    STRONGROOM_TRAIL_KILLS=200 cargo test --test it -- --nocapture trail_kills::
    echo "== as many grants on one key as the quota allows"
    STRONGROOM_GRANTS=50000 cargo test --lib grants_as_its_quota
    echo "== every answer of a token in every operation, a kill at every call to one"
    STRONGROOM_HSM_FAULTS=all cargo test --all-features --test it -- --nocapture pkcs11::faults:: hsm::kills:: cut_off
fi
