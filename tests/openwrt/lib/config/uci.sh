# Stands in for OpenWrt's /lib/config/uci.sh: the shell evaluates what `uci export` prints of a package. As there, reading
# is not strict, what uci complains about is thrown away, and of an earlier load only the lists are forgotten, not the
# options.

uci_load() {
	local PACKAGE="$1" DATA RET VAR

	for VAR in $CONFIG_LIST_STATE; do
		export -n "CONFIG_$VAR="
		export -n "CONFIG_${VAR}_LENGTH="
	done
	CONFIG_LIST_STATE= CONFIG_SECTIONS= CONFIG_NUM_SECTIONS=0 CONFIG_SECTION=

	DATA="$(/sbin/uci -P /var/state -S -n export "$PACKAGE" 2>/dev/null)"
	RET=$?
	[ "$RET" != 0 ] || [ -z "$DATA" ] || eval "$DATA"
	${CONFIG_SECTION:+config_cb}
	return "$RET"
}
