#!/usr/bin/env bash
# Installs what the tests need, and runs all of them: those that differ between sets of features, with
# each set. Skips tools that are already installed, and asks for nothing.
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
tests/interop/requirements.txt, CMake and Go (in .venv) and of tests/interop/s3_requirements.txt (in .venv-s3),
Node.js with those of tests/interop/package-lock.json, OpenSSL 3, SoftHSM 2, NSS softokn, OpenSC,
p11tool, certutil, PostgreSQL, curl, systemd-analyze, strace, cryptsetup and qemu-utils (Debian packages
need root or sudo).
Then compiles and tests four sets of features, the server, a service with axum and sqlx, and the
packages for lakes: about 25 minutes on two idle cores.
TEXT
[ -z "$long" ] || echo "The long versions afterwards take two to three hours."

ensure_rust
ensure_compilers
ensure_python
ensure_fips_tools
ensure_node
ensure_openssl
ensure_soft_tokens
ensure_postgres
ensure_server_tools
ensure_volume_tools

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
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 3))}

# One build for the library, the examples and the server: alone, the server would compile the library
# and a hundred dependencies again.
all=(cargo test --workspace --features "$(all_but_fips)")
pure=(cargo test --package strongroom --no-default-features)

if [ $# -gt 0 ]; then
    timed "${all[@]}" "$@"
    timed "${pure[@]}" "$@"
    timed cargo test --package strongroom "$@"
else
    timed "${all[@]}" --no-run
    # Compiles the second build while the tests of the first wait for other processes. Not before they
    # run, because Cargo runs one build at a time in a folder.
    log=$(mktemp)
    set -m
    (sleep 10 && nice "${pure[@]}" --lib --test it --no-run) >"$log" 2>&1 &
    compiler=$!
    set +m
    trap 'kill -- -"$compiler" 2>/dev/null || true; rm -f "$log"' EXIT
    timed "${all[@]}"
    wait "$compiler" || { cat "$log"; exit 1; }
    # Without features, only the backend differs, which is pure Rust, and code that takes the place of
    # a feature. The first run measures the memory of both backends. These tests would repeat it:
    repeated=(
        # They read the sources.
        --skip documentation:: --skip error_texts:: --skip layering:: --skip package:: --skip prose::
        --skip public_paths::
        # They test both backends in each build that has both.
        --skip crypto::conformance::
        # They decide and replicate, which no result of a backend influences.
        --skip access:: --skip policy:: --skip hsm::
        # They compare formats with another SDK, or under other keyrings, than the tests that remain.
        --skip interop::node:: --skip interop::matrix::
    )
    # Tests that a backend influences, without those that compare two libraries, neither of which is the
    # module.
    with_fips=(crypto:: seal:: blob:: message:: kms:: envelope:: import:: root_key:: --skip third_party::
        --skip file_example::)
    timed "${pure[@]}" --lib --test it -- "${repeated[@]}"
    timed "${pure[@]}" --doc
    # The strict backend of FIPS: the parts that call it. It lacks some algorithms: tests that need them
    # ask the backend, and report that they did not run. With --long, all tests run with it.
    timed "${fips_test[@]}" --lib --test it -- "${with_fips[@]}"
    # Other examples use what the strict backend lacks.
    timed "${fips_test[@]}" --doc -- manual::fips crypto::fips
    # The default features are a part of all features, with the same backend and the same store, and
    # Clippy compiles their tests. Only the examples in the documentation must also work with what a new
    # user has.
    timed cargo test --package strongroom --doc
    # The example of a service over HTTP, and the feature `columns-sqlx` with the drivers of sqlx, which
    # the library does not depend on.
    timed cargo test --quiet --locked --manifest-path examples/notes/Cargo.toml
    # Encrypted Parquet files and Iceberg tables, in a workspace with over three hundred dependencies.
    timed cargo test --quiet --locked --workspace --features strongroom-parquet/tokio --manifest-path crates/lakes/Cargo.toml
fi

# The long versions of tests that the runs above shorten: a long stream, thousands of crashes and
# disk faults, damage to every byte, every test of the KMS on PostgreSQL, hundreds of kills of processes
# that change parameters, thousands of kills of a database server and every fault of its network,
# thousands of kills of sweeps over encrypted columns and sweeps over a million rows, hundreds of
# kills of processes that write and re-encrypt objects, ten thousand connections, every test with the
# strict backend of FIPS, and every return value of a token at every call.
if [ -n "$long" ]; then
    long_test() { timed env "$@"; }
    it=("${all[@]}" --test it -- --nocapture)
    long_test STRONGROOM_STREAM_BYTES=4400000000 "${all[@]}" --test memory -- --nocapture
    long_test STRONGROOM_CRASH_RUNS=2000 STRONGROOM_DISK_FAULTS=all STRONGROOM_BIT_ROT_STEP=1 "${it[@]}" crash:: bit_rot::
    long_test STRONGROOM_EVERY_STORE=all "${it[@]}" all_stores::
    long_test STRONGROOM_TRAIL_KILLS=200 "${it[@]}" trail_kills::
    long_test STRONGROOM_PARAMETER_KILLS=200 "${it[@]}" parameters::kills::
    long_test STRONGROOM_SERVER_KILLS=2000 STRONGROOM_MESSAGE_FAULTS=all STRONGROOM_HISTORIES=500 "${it[@]}" postgres::
    long_test STRONGROOM_SWEEP_KILLS=600 "${it[@]}" sweep_kills::
    long_test STRONGROOM_SWEEP_ROWS=1000000 "${it[@]}" memory_does_not_grow_with_the_table a_long_table_is_converted
    long_test STRONGROOM_CONNECTIONS=10000 STRONGROOM_FLOOD=200000 STRONGROOM_ENDPOINT_KILLS=100 "${all[@]}" --test server -- --nocapture crowds:: floods:: kills::
    long_test STRONGROOM_OBJECT_KILLS=300 "${all[@]}" --test objects -- --nocapture kills::
    long_test STRONGROOM_GRANTS=50000 "${all[@]}" --lib grants_as_its_quota
    # Without the comparisons that use suites with 192-bit keys, and an example that this build lacks.
    timed "${fips_test[@]}" --lib --test it -- --skip third_party:: --skip interop::node:: --skip interop::matrix:: \
        --skip file_example::
    long_test STRONGROOM_HSM_FAULTS=all "${it[@]}" pkcs11::faults:: hsm::kills:: hsm::named_keys:: hsm::interrupted_generations:: cut_off
fi

printf '\n%s\n' "Times:" "${times[@]}"
