#!/usr/bin/env bash
# Sets up .venv with the programs: system packages through apt, the rest pinned
# by constraints.txt. `setup.sh dev` adds what the tests need. Run again, it
# does only what has changed.
set -euo pipefail
cd "$(dirname "$0")"

want=${1:-run}
packages=(python3-bpfcc iproute2)
extra=""
if [ "$want" = dev ]; then
    packages+=(bpftool tcpdump tshark iputils-ping tmux nftables less zsh fish)
    extra="[dev]"
fi

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 3; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

install_packages() {
    command -v dpkg-query >/dev/null || die "no dpkg here: install ${packages[*]} yourself (Debian's names), then run this again with SKIP_APT=1"
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "apt: ${missing[*]}"
    as_root apt-get update -qq >&2
    # Ubuntu has bpftool among its kernel tools.
    if [[ " ${missing[*]} " == *" bpftool "* ]] && ! apt-cache show bpftool >/dev/null 2>&1; then
        missing=("${missing[@]/#bpftool/linux-tools-generic}")
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

link_bcc() {
    local site bcc
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    bcc=/usr/lib/python3/dist-packages/bcc
    [ -d "$bcc" ] || die "python3-bpfcc is installed, but $bcc is not there"
    # That one package of the system's, nothing else of it: it is pure Python
    # over libbcc, so any interpreter can use it.
    ln -sfn "$bcc" "$site/bcc"
}

python=$(find_python) || die "Python 3.11 or newer is needed; set PYTHON to one"
[ "${SKIP_APT:-}" ] || install_packages
stamp=".venv/.setup-$want-$(cat "$0" pyproject.toml constraints.txt <(echo "$python") | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    packages+=(python3-venv)
    install_packages
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
say "installing into .venv"
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".$extra" >&2
link_bcc
rm -f .venv/.setup-"$want"-*
touch "$stamp"
