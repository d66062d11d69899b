# What build-ipk and build-apk share: which package fits which router, and what is in it.
# shellcheck shell=bash disable=SC2034 # The scripts that read this file use what it sets.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dist=${ILAGENT_DIST:-$project/target/dist}
name=ilagent
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$project/Cargo.toml" | head -1)-r1
# As in openwrt/ilagent/Makefile: the user the agent runs as.
users='ilagent=897:ilagent=897'
description='Edge agent that gets messages out of the field: MQTT and HTTP in, ilert out'
# Only files: opkg copies each of them before an upgrade, and cannot copy folders. keep.d tells sysupgrade to keep
# /etc/ilagent.
conffiles=/etc/config/ilagent
# apk runs no script of the old package, and to procd `start` changes nothing, so the old binary would keep running.
# shellcheck disable=SC2016 # The router expands it.
restart_if_it_runs='[ -n "${IPKG_INSTROOT}" ] || ! /etc/init.d/ilagent running || /etc/init.d/ilagent restart || true'
# Packages of the same commit are identical, whenever they are built.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || echo 0)}

# rust target | the architecture, as most routers with that processor call it
architectures='
mipsel-unknown-linux-musl      mipsel_24kc
mips-unknown-linux-musl        mips_24kc
arm-unknown-linux-musleabihf   arm_arm1176jzf-s_vfp
armv7-unknown-linux-musleabihf arm_cortex-a7_neon-vfpv4
armv5te-unknown-linux-musleabi arm_arm926ej-s
aarch64-unknown-linux-musl     aarch64_cortex-a53
x86_64-unknown-linux-musl      x86_64
i686-unknown-linux-musl        i386_pentium4
riscv64gc-unknown-linux-musl   riscv64_generic
'

fail() {
  echo "$(basename "$0"): $1" >&2
  exit "${2:-1}"
}

# Reads the command line: sets target, architecture and binary.
read_arguments() {
  target=${1:-}
  [ $# -le 2 ] || fail "too many arguments; usage: $(basename "$0") TARGET [ARCHITECTURE]" 2
  case $target in
    '' | -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  local usual
  usual=$(awk -v target="$target" '$1 == target { print $2 }' <<<"$architectures")
  [ -n "$usual" ] || fail "unknown target '$target'; cross/build --list names them all" 2
  architecture=${2:-$usual}
  case $architecture in *[!A-Za-z0-9_+.-]*) fail "'$architecture' is no architecture" 2 ;; esac
  binary=$dist/ilagent-$target
  [ -x "$binary" ] || fail "there is no $binary; run cross/build $target first"
}

# stage FOLDER: puts the files of the package there, laid out as on the router.
stage() {
  local files=$project/openwrt/ilagent/files
  install -D -m 0755 "$binary" "$1/usr/bin/ilagent"
  install -D -m 0755 "$files/ilagent.init" "$1/etc/init.d/ilagent"
  install -D -m 0600 "$files/ilagent.config" "$1/etc/config/ilagent"
  # sysupgrade keeps the certificates, and the queue if it is on flash.
  install -D -m 0644 "$files/ilagent.keep" "$1/lib/upgrade/keep.d/ilagent"
  install -d "$1/etc/ilagent"
  # `install` makes the folders in between with the mode that the umask leaves.
  find "$1" -type d -exec chmod 0755 {} +
  # Owners copy keys there. The init script lets the agent in.
  chmod 0750 "$1/etc/ilagent"
}

# script FOLDER/NAME LINE…: a script that opkg or apk runs on the router.
script() {
  local path=$1
  shift
  {
    echo '#!/bin/sh'
    # opkg and apk set it when a package goes into an image instead of a running router.
    # shellcheck disable=SC2016
    printf '%s\n' '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0' \
      '[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0' '. "${IPKG_INSTROOT}/lib/functions.sh"'
    printf '%s\n' "$@"
  } >"$path"
  chmod 0755 "$path"
}
