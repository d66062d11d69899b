# Stands in for OpenWrt's /lib/config/uci.sh: a package becomes what `uci export` shows of it, which is made to be
# evaluated by a shell. As there: the reading is not strict and what uci says of it is thrown away, and of
# what was loaded before only lists are forgotten, options are not.

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
