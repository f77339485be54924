# Sourced by script/demo and script/test: finds what is missing on this machine, installs it where that is
# allowed, otherwise prints the one line to run. POSIX sh; needs nothing.

# What the program is built from, and what the tests need beside it (docs/dependencies.md says why).
build_packages="gcc libc6-dev make cmake pkg-config libpng-dev libjpeg62-turbo-dev zlib1g-dev libmicrohttpd-dev libyaml-dev libcurl4-gnutls-dev"
test_packages="libcmocka-dev libjansson-dev curl xz-utils"

say() {
    printf '%s\n' "$*" >&2
}

# missing_packages PACKAGE...: those that are not installed.
missing_packages() {
    for package in "$@"; do
        case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
        "install ok installed") ;;
        *)
            # another package may give the same thing, e.g. libcurl4-openssl-dev
            case "$package" in
            libcurl4-gnutls-dev) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists libcurl && continue ;;
            pkg-config) command -v pkg-config >/dev/null 2>&1 && continue ;;
            gcc) command -v gcc >/dev/null 2>&1 && continue ;;
            cmake) command -v cmake >/dev/null 2>&1 && continue ;;
            esac
            printf '%s ' "$package"
            ;;
        esac
    done
}

# need PACKAGE...: installs them or says how.
need() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        for tool in cc make cmake pkg-config; do
            command -v "$tool" >/dev/null 2>&1 || {
                say "This is no Debian system and $tool is missing. Install your system's equivalents of: $*"
                exit 1
            }
        done
        return 0
    fi
    # shellcheck disable=SC2046,SC2086
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        say "Some packages are missing. Run this line, then start again:"
        say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $missing"
        exit 1
    fi
    say "Installing: $missing"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || {
        say "apt-get update failed; check the network and the package sources, then start again."
        exit 1
    }
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"${TMPDIR:-/tmp}/kata-apt.log" 2>&1 || {
        tail -n 5 "${TMPDIR:-/tmp}/kata-apt.log" >&2
        say "Installing failed (the whole output is in ${TMPDIR:-/tmp}/kata-apt.log)."
        exit 1
    }
}

# build TARGET...: the release build in build/.
build() {
    jobs=$(nproc 2>/dev/null || echo 2)
    say "Building ..."
    cmake --preset release >build.log 2>&1 && cmake --build --preset release -j "$jobs" --target "$@" >>build.log 2>&1 || {
        tail -n 30 build.log >&2
        say "The build failed; the whole output is in build.log."
        exit 1
    }
    rm -f build.log
}
