#!/bin/sh
# Make sure that programs from Debian packages are here.
#
#   tools/debian-packages.sh NAME[=PACKAGE]...
#
# NAME is a program, or a file where it begins with "/"; PACKAGE is what brings it, NAME itself by
# default. Programs are looked for rather than packages, so one that came another way counts too
# (Docker's containerd, for instance, which Debian's would replace). Nothing missing: nothing is done.
# Otherwise root gets the packages from apt, and anyone else a message that names them.
#
# No service that comes with a package is started, now or by systemd at the next boot: tests and demo
# start the programs themselves, on free loopback ports.
set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
lock=/run/lock/proxima-debian-packages
policy=/usr/sbin/policy-rc.d

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

is_here() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

find_missing() {
    missing=
    for wanted in "$@"; do
        is_here "${wanted%%=*}" && continue
        case "$missing " in
        *" ${wanted#*=} "*) ;;
        *) missing="$missing ${wanted#*=}" ;;
        esac
    done
    missing=${missing# }
}

# invoke-rc.d and deb-systemd-invoke ask this file before they start a service. An administrator's own
# policy is left alone.
forbid_service_starts() {
    [ ! -e "$policy" ] || return 0
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

list_services() {
    find /lib/systemd/system /usr/lib/systemd/system -name '*.service' ! -name '*@.service' -printf '%f\n' 2>/dev/null | sort -u
}

disable_new_services() {
    command -v systemctl >/dev/null || return 0
    list_services | comm -13 "$1" - | while read -r service; do
        systemctl disable --quiet "$service" 2>/dev/null || true
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

find_missing "$@"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || fail \
    "These programs are missing, and this system has no apt-get: $missing" \
    "(names of Debian packages). Install them, then run make again."
[ "$(id -u)" = 0 ] || fail \
    "Debian packages are missing. Install them, then run make again:" \
    "    sudo apt-get install $missing"

# One at a time: the policy file and apt's own locks don't go together with a second run beside this one.
exec 9>"$lock"
flock 9
find_missing "$@"
[ -n "$missing" ] || exit 0

echo "Installing Debian packages: $missing"
log=$(mktemp)
services=$(mktemp)
list_services >"$services"
forbid_service_starts
# One unreachable source among several is no reason to stop; the install tells whether it mattered.
apt update >"$log" 2>&1 || true
# shellcheck disable=SC2086 # a list of package names
if ! apt install --no-install-recommends $missing >>"$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "apt-get could not install: $missing (log: $log)"
fi
disable_new_services "$services"
rm -f "$log" "$services"

find_missing "$@"
[ -z "$missing" ] || fail "Installed, but still not found: $missing"
