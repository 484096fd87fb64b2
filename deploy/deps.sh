#!/bin/sh
# Installs the Debian packages that deploy/packages.txt lists for the named groups:  sh deploy/deps.sh GROUP...
# Quick and without apt when all are there.  As root or through sudo.  Node.js from elsewhere than Debian is accepted.
set -eu
cd "$(dirname "$0")/.."
list=deploy/packages.txt
if [ $# -eq 0 ]; then
    echo "usage: deploy/deps.sh GROUP...   (groups are explained in $list)" >&2
    exit 2
fi

# Column 2 may name several groups, separated by commas.
packages_of() {
    awk -v wanted="$1" '!/^#/ && NF && index("," $2 ",", "," wanted ",") { print $1 }' "$list"
}

wanted=
for group in "$@"; do
    packages=$(packages_of "$group")
    if [ -z "$packages" ]; then
        echo "deps: no package of $list is in group '$group'" >&2
        exit 2
    fi
    for package in $packages; do
        case " $wanted " in
        *" $package "*) continue ;;
        esac
        case $package in
        nodejs) ! command -v node >/dev/null || continue ;;
        npm) ! command -v npm >/dev/null || continue ;;
        esac
        wanted="$wanted $package"
    done
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: this is not Debian; install what corresponds to:$wanted" >&2
    exit 1
fi

# Prints those of the named packages that are neither installed nor provided by an installed one of another name.
missing_of() {
    # shellcheck disable=SC2086
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $1 2>/dev/null |
        awk '$2 == "installed" { print $1 }') || true
    for package in $1; do
        printf '%s\n' "$installed" | grep -qxF "$package" && continue
        plan=$(apt-get -q -s install --no-install-recommends "$package" 2>/dev/null) &&
            ! printf '%s\n' "$plan" | grep -q '^Inst ' && continue
        printf ' %s' "$package"
    done
}

missing=$(missing_of "$wanted")
if [ -z "$missing" ]; then
    echo "deps: all packages of $* are installed"
    exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null; then
    as_root="sudo env"
else
    echo "deps: run as root:  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
apt() {
    # shellcheck disable=SC2086
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}

echo "deps: installing$missing"
apt update || echo "deps: the package lists could not be renewed; trying with those that are here" >&2
# shellcheck disable=SC2086
if ! apt install --no-install-recommends $missing; then
    # One that cannot be had must not keep the others away.
    for package in $missing; do
        apt install --no-install-recommends "$package" || true
    done
fi

failed=$(missing_of "$missing")
if [ -n "$failed" ]; then
    echo "deps: could not install:$failed" >&2
    exit 1
fi
echo "deps: done"
