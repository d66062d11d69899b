#!/bin/sh
# Installs or upgrades ilagent from the files of a release, and lets the system start it.
#
#   sh install.sh FROM              FROM: where the files of cross/release are, a URL or a folder
#   sh install.sh --look FROM       says what it would install, and changes nothing
#
# Every file is checked against SHA256SUMS before it is used. On Debian and its kin it installs the
# package; on OpenWrt the binary with its init script; elsewhere the binary, with a unit if there is
# systemd. Your configuration and the queue stay as they are. Needs root, and curl, wget or
# uclient-fetch for a URL.
set -eu

say() { echo "install.sh: $1"; }
fail() {
  echo "install.sh: $1" >&2
  exit "${2:-1}"
}

main() {
  look=''
  if [ "${1:-}" = --look ]; then
    look=yes
    shift
  fi
  case ${1:-} in
    '' | -*) fail "usage: sh install.sh [--look] FROM, a URL or a folder with the files of a release" 2 ;;
  esac
  [ $# -eq 1 ] || fail "one argument is enough: where the files are" 2
  from=${1%/}
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  find_target
  fetch SHA256SUMS

  if [ -e /etc/openwrt_release ]; then
    install_openwrt
  elif architecture=$(dpkg --print-architecture 2>/dev/null); then
    install_debian
  else
    install_elsewhere
  fi
}

# byte N VALUE: what the header of an ELF file, the shell, has there.
byte() { [ "$(dd if=/bin/sh bs=1 skip="$1" count=1 2>/dev/null)" = "$(printf '%b' "$2")" ]; }

# Sets target. The kernel may have 64 bits where the programs have 32, and says `mips` for both orders
# of bytes; some ARMv7 have no floating point unit.
find_target() {
  machine=$(uname -m)
  case $machine in
    x86_64 | i?86) if byte 4 '\002'; then target=x86_64; else target=i686; fi ;;
    aarch64 | armv[6-9]* | arm64)
      if byte 4 '\002'; then
        target=aarch64
      elif ! grep -q '^Features.* vfp' /proc/cpuinfo; then
        target=armv5te
      else
        case $machine in armv6*) target=arm ;; *) target=armv7 ;; esac
      fi ;;
    armv5*) target=armv5te ;;
    mips*) if byte 5 '\002'; then target=mips; else target=mipsel; fi ;;
    riscv64) target=riscv64gc ;;
    *) fail "there is no binary for '$machine'; build one from the source" ;;
  esac
  case $target in
    arm | armv7) target=$target-unknown-linux-musleabihf ;;
    armv5te) target=$target-unknown-linux-musleabi ;;
    *) target=$target-unknown-linux-musl ;;
  esac
}

# fetch NAME: into the work folder.
fetch() {
  case $from in
    http://* | https://*)
      if command -v curl >/dev/null; then
        curl -fsSL -o "$work/$1" "$from/$1"
      elif command -v wget >/dev/null; then
        wget -q -O "$work/$1" "$from/$1"
      elif command -v uclient-fetch >/dev/null; then
        uclient-fetch -q -O "$work/$1" "$from/$1"
      else
        fail "neither curl nor wget is installed; download the files and name their folder"
      fi || fail "$from/$1 cannot be downloaded" ;;
    *) cp "$from/$1" "$work/$1" 2>/dev/null || fail "there is no $from/$1" ;;
  esac
}

# checked NAME: fetched, and what SHA256SUMS says it is.
checked() {
  fetch "$1"
  grep " [ *]*$1\$" "$work/SHA256SUMS" >"$work/sum" || fail "SHA256SUMS does not name $1"
  (cd "$work" && sha256sum -c sum >/dev/null 2>&1) ||
    fail "$1 is not what SHA256SUMS says: a broken download, or somebody changed it; nothing was installed"
}

# named PATTERN: the first file of the release whose name matches.
named() { sed -n "s/^[0-9a-f]* [ *]\($1\)\$/\1/p" "$work/SHA256SUMS" | head -n 1; }

install_debian() {
  case $target in arm-*) architecture=$architecture-armv6 ;; esac
  package=$(named "ilagent_.*_$architecture\.deb")
  [ -n "$package" ] || fail "the release has no package for $architecture"
  would "$package" && return
  checked "$package"
  # A conffile that its owner has changed stays.
  dpkg --install --force-confold "$work/$package"
  say "edit /etc/ilagent/ilagent.toml, then: systemctl reload ilagent"
}

install_openwrt() {
  if opkg status ilagent 2>/dev/null | grep -q '^Status:.* installed' ||
    apk info --installed ilagent >/dev/null 2>&1; then
    fail "ilagent is installed as a package; upgrade it with opkg or apk"
  fi
  would "ilagent-$target and its init script" && return
  unpack
  files=$source/openwrt/ilagent/files
  grep -q '^ilagent:' /etc/group || echo 'ilagent:x:897:' >>/etc/group
  grep -q '^ilagent:' /etc/passwd ||
    echo 'ilagent:x:897:897:ilagent:/var/run/ilagent:/bin/false' >>/etc/passwd
  grep -q '^ilagent:' /etc/shadow || echo 'ilagent:x:0:0:99999:7:::' >>/etc/shadow
  put 0755 "$work/ilagent-$target" /usr/bin/ilagent
  put 0755 "$files/ilagent.init" /etc/init.d/ilagent
  put 0644 "$files/ilagent.keep" /lib/upgrade/keep.d/ilagent
  keep 0600 "$files/ilagent.config" /etc/config/ilagent
  mkdir -p /etc/ilagent
  chmod 0750 /etc/ilagent
  /etc/init.d/ilagent enable
  if /etc/init.d/ilagent running; then /etc/init.d/ilagent restart; fi
  say "edit /etc/config/ilagent, then: service ilagent start"
}

install_elsewhere() {
  would "ilagent-$target" && return
  unpack
  put 0755 "$work/ilagent-$target" /usr/local/bin/ilagent
  keep 0644 "$source/systemd/ilagent.toml" /etc/ilagent/ilagent.toml
  if [ -d /run/systemd/system ]; then
    keep 0640 "$source/systemd/ilagent.default" /etc/default/ilagent
    sed 's,/usr/bin/ilagent,/usr/local/bin/ilagent,' "$source/systemd/ilagent.service" >"$work/unit"
    put 0644 "$work/unit" /etc/systemd/system/ilagent.service
    systemctl daemon-reload
    systemctl enable ilagent.service
    systemctl restart ilagent.service
    say "edit /etc/ilagent/ilagent.toml, then: systemctl reload ilagent"
  else
    say "there is no systemd; have your system run: /usr/local/bin/ilagent daemon --config /etc/ilagent/ilagent.toml"
  fi
}

# would WHAT: says it; whether that is all that is wanted.
would() {
  if [ -z "$look" ]; then say "installing $1"; else say "would install $1"; fi
  [ -n "$look" ]
}

# The binary is checked, and the source unpacked, which has unit, init script and samples.
unpack() {
  [ "$(id -u)" = 0 ] || fail "only root may install"
  checked "ilagent-$target"
  archive=$(named 'ilagent-[0-9][^/]*\.tar\.gz')
  [ -n "$archive" ] || fail "the release has no source archive, where the init scripts are"
  checked "$archive"
  tar -C "$work" -xzf "$work/$archive"
  source=$work/${archive%.tar.gz}
}

# put MODE FILE PATH: whole or not at all, also while the old one runs.
put() {
  mkdir -p "${3%/*}"
  cp "$2" "$3.new"
  chmod "$1" "$3.new"
  mv -f "$3.new" "$3"
}

# keep MODE FILE PATH: unless the owner has one.
keep() { [ -e "$3" ] || put "$@"; }

main "$@"
