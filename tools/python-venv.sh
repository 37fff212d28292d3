#!/bin/sh
# Make a virtual environment, with what Debian keeps apart for it.
#
#   tools/python-venv.sh needs PYTHON          what is missing, in the words of debian-packages.sh
#   tools/python-venv.sh make PYTHON FOLDER    make one; one that works is left as it is
set -eu

verb=$1
python=$2

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

has_python() {
    command -v "$python" >/dev/null
}

# Debian's Python comes without the part that puts pip into a new environment.
list_needs() {
    if ! has_python; then
        [ "$python" != python3 ] || echo python3=python3-venv
    elif ! "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -c 'import sys; print("/usr/lib/python{0}/ensurepip=python{0}-venv".format("%d.%d" % sys.version_info[:2]))'
    fi
}

make_venv() {
    "$1/bin/python" -m pip --version >/dev/null 2>&1 && return 0
    # shellcheck disable=SC2046 # a list of words
    "$(dirname "$0")/debian-packages.sh" $(list_needs)
    has_python || fail "PYTHON=$python: there is no such program."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail \
        "proxima needs Python 3.11 or newer; $python is $("$python" -V 2>&1)." \
        "Name another one: make PYTHON=/path/to/python3.11"
    "$python" -m venv --clear "$1"
}

case $verb in
needs) list_needs ;;
make) make_venv "$3" ;;
esac
