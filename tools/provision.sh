#!/usr/bin/env bash
#
# Set up what natlab needs, on a Vagrant machine and on any Debian or Ubuntu machine:
# the system packages, a Python of 3.11 or later, and a virtual environment with natlab in it.
# What is there already is left alone; when nothing is missing, nothing is printed.

set -euo pipefail

readonly PACKAGES=(
    libnftables1 nftables iproute2 iptables iputils-ping tcpdump conntrack
    python3 python3-venv netcat-openbsd curl ca-certificates make procps
)
readonly MINIMUM=11 # Python 3.MINIMUM

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=${NATLAB_VENV:-$project/.venv}
extras=()
system_only=
whole_machine=

usage() {
    cat <<'TEXT'
Usage: tools/provision.sh [--extras NAME,NAME] [--system-only] [--machine]

  --extras test,lint  also install these extras of pyproject.toml
  --system-only       system packages only, no virtual environment
  --machine           for a machine of natlab's own (Vagrant), as root: the environment goes
                      to /opt/natlab and `natlab` onto everybody's PATH

Environment: NATLAB_VENV, the virtual environment's directory (default: .venv of the project).
TEXT
}

say() { printf 'provision: %s\n' "$*"; }

die() {
    printf 'provision: %s\n' "$*" >&2
    exit 1
}

parse_arguments() {
    while (($#)); do
        case $1 in
            --extras)
                [[ ${2-} =~ ^[a-z]+(,[a-z]+)*$ ]] || die "--extras wants names such as test,lint"
                IFS=, read -ra extras <<<"$2"
                shift
                ;;
            --system-only) system_only=yes ;;
            --machine) whole_machine=yes ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) die "unknown option $1: see tools/provision.sh --help" ;;
        esac
        shift
    done
}

# --- system packages -----------------------------------------------------------------------

# The packages of PACKAGES that are not installed, one a line; one call for all of them.
missing_packages() {
    local installed package
    # dpkg-query ends non-zero when it does not know a package: that is an answer here.
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null \
        || true)
    for package in "${PACKAGES[@]}"; do
        [[ $'\n'$installed$'\n' == *$'\n'"installed $package"$'\n'* ]] || printf '%s\n' "$package"
    done
}

# Run apt-get as root; the first arguments are the words that make us root, if any are needed.
apt_install() {
    local -a apt=("${become[@]}" env DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=300)
    say "installing ${missing[*]}"
    "${apt[@]}" update || say "some package lists could not be fetched; going on with what is there"
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null \
        || die "apt-get could not install ${missing[*]}: see its message above, then run this again"
}

ensure_packages() {
    local -a missing become=()
    if ! command -v dpkg-query >/dev/null; then
        say "no dpkg here: make sure yourself that these are there: ${PACKAGES[*]}"
        return
    fi
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || die "packages are missing; as an administrator run:" \
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
        become=(sudo -n)
    fi
    apt_install
}

# --- Python and the virtual environment ----------------------------------------------------

is_new_enough() {
    command -v "$1" >/dev/null \
        && "$1" -c "import sys; sys.exit(sys.version_info < (3, $MINIMUM))" 2>/dev/null
}

# The system's own Python first: one that lives in somebody's home (pyenv's, say) makes an
# environment that other users, and the lab's ordinary user among them, cannot run.
find_python() {
    local candidate
    local -a newest_first
    mapfile -t newest_first < <(compgen -c python3. | grep -xE 'python3\.[0-9]+' \
        | sort -u -t. -k2,2nr)
    for candidate in /usr/bin/python3 python3 "${newest_first[@]}"; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.$MINIMUM or later found: install one," \
        "for example with sudo apt-get install python3.12 python3.12-venv"
}

# The stamp names the project and the Python that the environment was made for, then the extras
# in it. A moved project or another Python makes it stale, as an edited pyproject.toml does.
stamp_head() { printf 'project %s\npython %s\n' "$project" "$(readlink -f "$venv/bin/python")"; }

stamp_fits() { [[ -f $stamp && $(head -n2 "$stamp") == "$(stamp_head)" ]]; }

is_set_up() {
    local extra
    [[ -x $venv/bin/python && ! $project/pyproject.toml -nt $stamp ]] && stamp_fits || return 1
    for extra in "${extras[@]}"; do
        grep -qx "extra $extra" "$stamp" || return 1
    done
}

# Make the environment, or make it anew; never in a directory that is something else.
make_environment() {
    local python
    [[ ! -e $venv || -f $venv/pyvenv.cfg || -z $(ls -A "$venv") ]] \
        || die "$venv is not a virtual environment: move it away," \
            "or name another place with NATLAB_VENV=DIR"
    python=$(find_python)
    say "making $venv with $python"
    "$python" -m venv --clear "$venv" \
        || die "$python cannot make $venv: install its venv module (Debian: ${python##*/}-venv)"
}

pip_install() {
    local names
    local -a options=(--quiet --disable-pip-version-check)
    [[ -w ${HOME:-/nonexistent} ]] || options+=(--no-cache-dir)
    names=$(IFS=,; printf '%s' "${extras[*]}")
    say "installing natlab${names:+ with $names} into $venv"
    "$venv/bin/python" -m pip install "${options[@]}" --editable "$project${names:+[$names]}" \
        || die "pip could not install natlab into $venv: see its message above, then run this again"
}

# An environment moved, left half-made, or of a Python that is gone is not worth mending.
is_usable() {
    [[ ! -f $stamp ]] || stamp_fits || return 1
    is_new_enough "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null
}

set_up_environment() {
    local started
    started=$(date +%s.%N)
    # Extras that are there stay there: `make lab` after `make test` takes nothing away.
    if [[ -f $stamp ]]; then
        mapfile -t extras < <({
            sed -n 's/^extra //p' "$stamp"
            printf '%s\n' "${extras[@]}"
        } | grep . | sort -u)
    fi
    is_usable || make_environment
    pip_install
    { stamp_head; ((${#extras[@]} == 0)) || printf 'extra %s\n' "${extras[@]}"; } >"$stamp"
    # As old as the start: a pyproject.toml that was edited while pip ran is newer.
    touch -d "@$started" "$stamp"
}

is_writable() {
    [[ -e $1 ]] || mkdir -p "$1" 2>/dev/null
    [[ -w $1 ]]
}

ensure_environment() {
    local stamp=$venv/.natlab-stamp lock
    is_set_up && return
    is_writable "$venv" || die "$venv cannot be written by $(id -un): run this as its owner," \
        "or name another place with NATLAB_VENV=DIR"
    # Two of us at once: the second waits, then finds the work done.
    exec {lock}<"$(dirname "$venv")"
    flock "$lock"
    is_set_up || set_up_environment
    exec {lock}<&-
}

# --- a Docker client for the tests -----------------------------------------------------------

# The tests drive natlab with the unmodified `docker` command. Only that one file is taken out of
# its package: a Docker daemon is neither wanted nor started. Without it those tests are skipped.
ensure_docker_client() {
    local package scratch
    [[ " ${extras[*]} " == *' test '* ]] || return 0
    if command -v docker >/dev/null || [[ -x $venv/bin/docker ]]; then
        return 0
    fi
    scratch=$(mktemp -d)
    for package in docker-cli docker.io; do
        if (cd "$scratch" && apt-get -qq download "$package") 2>/dev/null \
            && dpkg-deb --fsys-tarfile "$scratch/$package"_*.deb \
            | tar -x -C "$scratch" ./usr/bin/docker 2>/dev/null; then
            say "taking the docker client out of the package $package"
            install -m 755 "$scratch/usr/bin/docker" "$venv/bin/docker"
            break
        fi
    done
    rm -rf "$scratch"
    [[ -x $venv/bin/docker ]] || say "no docker client can be had: the tests that need it are skipped"
}

# --- a machine of natlab's own ---------------------------------------------------------------

# `natlab` is on everybody's PATH, and `make` in the project finds the same environment.
announce_to_all_users() {
    ln -sfn "$venv/bin/natlab" /usr/local/bin/natlab
    printf 'export NATLAB_VENV=%q\n' "$venv" >/etc/profile.d/natlab.sh
}

main() {
    parse_arguments "$@"
    if [[ $whole_machine ]]; then
        ((EUID == 0)) || die "--machine changes this machine for all its users: run it as root"
        venv=/opt/natlab
    fi
    ensure_packages
    [[ $system_only ]] && return
    ensure_environment
    ensure_docker_client
    [[ $whole_machine ]] && announce_to_all_users
    return 0
}

main "$@"
