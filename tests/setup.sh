#!/usr/bin/env bash
# Brings the real parts that tests use. Root installs what is missing from Debian's packages; anyone else is told.
set -euo pipefail
# Debian keeps most programs of PostgreSQL out of the path.
PATH="$PATH:/usr/sbin:/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)"

# command:package
needed=(chromium:chromium nginx:nginx haproxy:haproxy initdb:postgresql openssl:openssl redis-server:redis-server)

missing() {
    for pair in "${needed[@]}"; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
}

mapfile -t packages < <(missing)
[ "${#packages[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${packages[*]} for the tests."
    # Tests start what they need themselves: no package shall start a service here.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    # Whether it worked is told by what is there afterwards.
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || true
    mapfile -t packages < <(missing)
fi

if [ "${#packages[@]}" -gt 0 ]; then
    echo "The tests use real parts that are missing here; install them: apt-get install ${packages[*]}" >&2
    exit 1
fi
