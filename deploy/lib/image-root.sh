#!/bin/sh
# Makes the root of the container image: programs, the shared libraries that they load, and what these read.
#
#   image-root.sh ROOT SECONDS PROGRAM...
#
# It runs in a Debian that has the libraries installed. Their packages are recorded as distroless images do it, in
# /var/lib/dpkg/status.d, so that scanners find their versions. Every time in ROOT is SECONDS since 1970.
set -eu

root=$1 seconds=$2
shift 2
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/etc/slotstream" "$root/tmp" "$root/var/lib/dpkg/status.d" "$root/usr/share/doc"
# Where a container's own are mounted.
mkdir "$root/dev" "$root/proc" "$root/sys"
# As Debian has it: one folder under two names.
for folder in bin lib lib64; do
    mkdir -p "$root/usr/$folder"
    ln -s "usr/$folder" "$root/$folder"
done
chmod 1777 "$root/tmp"
install -m 755 "$@" "$root/usr/bin"

# record PACKAGE: puts it on record, with its copyright.
record() {
    dpkg-query --status "$1" >"$root/var/lib/dpkg/status.d/$1"
    cp --parents --dereference "/usr/share/doc/$1/copyright" "$root"
}

# keep FILE: copies it, with what it is a link to, and records its package.
keep() {
    cp --archive --parents "$1" "$root"
    target=$(readlink -f "$1")
    [ "$target" = "$1" ] || cp --archive --parents "$target" "$root"
    # A package may say /lib where the file is in /usr/lib.
    package=$(dpkg -S "$1" 2>/dev/null || dpkg -S "${1#/usr}" 2>/dev/null || dpkg -S "$target" 2>/dev/null || dpkg -S "${target#/usr}")
    record "${package%%:*}"
}

# What they are linked with, the loader among it; what the libraries load by name when they need it: OpenSSL's providers.
for library in $(ldd "$@" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u) /usr/lib/*-linux-gnu/ossl-modules/*.so; do
    keep "$(readlink -f "${library%/*}")/${library##*/}"
done
# The authorities that sign the certificates of servers, where OpenSSL looks for them, and its settings.
cp --archive --parents /etc/ssl /usr/share/ca-certificates /usr/lib/ssl "$root"
rm -rf "$root/etc/ssl/private" "$root/usr/lib/ssl/private" "$root/usr/lib/ssl/misc"
record ca-certificates
record openssl
# libpq asks for the name of the user that it runs as.
printf 'root:x:0:0:root:/:/sbin/nologin\nslotstream:x:65532:65532:Slotstream:/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nslotstream:x:65532:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
cp --archive --parents /etc/os-release /usr/lib/os-release /etc/debian_version "$root"
find "$root" -exec touch --no-dereference --date "@$seconds" {} +
