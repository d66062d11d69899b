# Stands in for OpenWrt's /lib/functions.sh: what init scripts and packages may expect of it and no more, compared with
# the file of OpenWrt's main branch. Comments say where one might expect more than that file gives.

reset_cb() {
	config_cb() { return 0; }
	option_cb() { return 0; }
	list_cb() { return 0; }
}
reset_cb

config_load() {
	uci_load "$@"
}

config_set() {
	export -n "CONFIG_$1_$2=$3"
}

package() { return 0; }

config() {
	CONFIG_NUM_SECTIONS=$((CONFIG_NUM_SECTIONS + 1))
	CONFIG_SECTION="${2:-cfg$CONFIG_NUM_SECTIONS}"
	CONFIG_SECTIONS="${CONFIG_SECTIONS:+$CONFIG_SECTIONS }$CONFIG_SECTION"
	config_set "$CONFIG_SECTION" TYPE "$1"
	config_cb "$1" "$CONFIG_SECTION"
}

option() {
	local name="$1"
	shift
	config_set "$CONFIG_SECTION" "$name" "$*"
	option_cb "$name" "$*"
}

# The values are also joined with spaces, so config_get works for a list, too.
list() {
	local name="$1" count joined
	shift
	config_get count "$CONFIG_SECTION" "${name}_LENGTH" 0
	[ "$count" != 0 ] || CONFIG_LIST_STATE="$CONFIG_LIST_STATE ${CONFIG_SECTION}_$name"
	count=$((count + 1))
	config_set "$CONFIG_SECTION" "${name}_ITEM$count" "$*"
	config_set "$CONFIG_SECTION" "${name}_LENGTH" "$count"
	config_get joined "$CONFIG_SECTION" "$name"
	config_set "$CONFIG_SECTION" "$name" "${joined:+$joined }$*"
	list_cb "$name" "$*"
}

# config_get VARIABLE SECTION OPTION [DEFAULT]: leaves VARIABLE as it was if the names are not fit for a variable's name.
config_get() {
	case "$2$3" in
		*[!A-Za-z0-9_]*) ;;
		*) eval "export -n -- \"$1=\${CONFIG_$2_$3:-\$4}\"" ;;
	esac
}

config_foreach() {
	local ___function="$1" ___wanted="$2" section ___type
	shift 2
	for section in $CONFIG_SECTIONS; do
		config_get ___type "$section" TYPE
		[ -n "$___wanted" ] && [ "$___type" != "$___wanted" ] && continue
		"$___function" "$section" "$@"
	done
}

# Calls nothing for an option, which has no length.
config_list_foreach() {
	[ "$#" -ge 3 ] || return 0
	local section="$1" option="$2" function="$3" value count number=1
	shift 3
	config_get count "$section" "${option}_LENGTH"
	[ -n "$count" ] || return 0
	while [ "$number" -le "$count" ]; do
		config_get value "$section" "${option}_ITEM$number"
		"$function" "$value" "$@"
		number=$((number + 1))
	done
}

list_contains() {
	local ___all
	eval "___all=\" \$$1 \""
	case "$___all" in *" $2 "*) return 0 ;; esac
	return 1
}

# Creates the package's users, which are here already.
add_group_and_user() { return 0; }

# What a package manager runs after it has installed the files: it enables an init script the first time, and starts it
# every time.
default_postinst() {
	local script
	for script in /etc/init.d/ilagent; do
		[ "$PKG_UPGRADE" = 1 ] || "$script" enable
		"$script" start
	done
	return 0
}

default_prerm() {
	local script
	for script in /etc/init.d/ilagent; do
		[ "$PKG_UPGRADE" = 1 ] || "$script" disable
		"$script" stop
	done
	return 0
}

. /lib/config/uci.sh
