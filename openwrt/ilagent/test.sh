#!/bin/sh
# The CI of OpenWrt's feeds runs this: $1 is the package, $2 its version.

case "$1" in
	ilagent) ;;
	*) exit 0 ;;
esac

ilagent --version | grep -F "ilagent $2" || exit 1

# An empty configuration is a fault, with exit code 2.
echo '{}' >/tmp/ilagent-test.json
ilagent check --config /tmp/ilagent-test.json
[ $? -eq 2 ] || exit 1
rm /tmp/ilagent-test.json
