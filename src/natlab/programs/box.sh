#!/usr/bin/env bash
# A container made by hand, as step 19 of the course makes it.
#
#   box NAME            start one, and print the number of its process
#   box NAME COMMAND…   run a command in it, as `docker exec` does
#
# Its image is /srv/base, what it writes is in /srv/NAME/upper, and it has a network namespace called
# NAME. It sleeps: what it should have besides is mounted with `nsenter -m -t NUMBER mount …`.

set -euo pipefail

if [ $# -eq 0 ]; then
    echo 'usage: box NAME [COMMAND…]' >&2
    exit 2
fi
name=$1
shift

inside() {
    pid=$1
    shift
    nsenter -m -p -r -w -t "$pid" "$@"
}

if [ $# -gt 0 ]; then
    inside "$(cat "/srv/$name/pid")" "$@"
    exit
fi

mkdir -p /srv/base/etc /srv/base/usr /srv/base/proc /srv/base/dev
cp -P /bin /sbin /lib* /srv/base
mkdir -p "/srv/$name/upper" "/srv/$name/work" "/srv/$name/root"

ip netns add "$name"
# shellcheck disable=SC2016 # the inner shell's own $0
ip netns exec "$name" unshare --pid --mount --uts --ipc --fork sh -ec '
    cd "/srv/$0"
    mount -t overlay -o lowerdir=/srv/base,upperdir=upper,workdir=work,userxattr none root
    mount --rbind /usr root/usr
    mount --rbind /dev root/dev
    mount -t proc none root/proc
    exec chroot root sleep infinity
' "$name" </dev/null >/dev/null 2>&1 &

while kill -0 $! 2>/dev/null; do
    # It has begun when it sees its own root, in which there is no /srv.
    if pid=$(pgrep -P $!) && inside "$pid" test ! -e /srv 2>/dev/null; then
        echo "$pid" >"/srv/$name/pid"
        echo "$pid"
        exit
    fi
done
echo "box: $name could not be started" >&2
exit 1
