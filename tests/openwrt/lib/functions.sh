# Stands in for OpenWrt's /lib/functions.sh: what init scripts may expect of it, no more.
# UCI files are read in the form of `uci export`, which is made to be evaluated by a shell.

reset_cb() {
	config_cb() { :; }
	option_cb() { :; }
	list_cb() { :; }
}
reset_cb

config_set() {
	eval "CONFIG_$1_$2=\$3"
}

package() { :; }

config() {
	CONFIG_COUNT=$((CONFIG_COUNT + 1))
	CONFIG_SECTION="${2:-cfg$CONFIG_COUNT}"
	CONFIG_SECTIONS="$CONFIG_SECTIONS $CONFIG_SECTION"
	config_set "$CONFIG_SECTION" TYPE "$1"
	config_cb "$1" "$2"
}

option() {
	local option="$1"
	shift
	config_set "$CONFIG_SECTION" "$option" "$*"
	option_cb "$option" "$*"
}

list() {
	local option="$1" length joined
	shift
	config_get length "$CONFIG_SECTION" "${option}_LENGTH" 0
	config_get joined "$CONFIG_SECTION" "$option"
	length=$((length + 1))
	config_set "$CONFIG_SECTION" "${option}_ITEM$length" "$*"
	config_set "$CONFIG_SECTION" "${option}_LENGTH" "$length"
	config_set "$CONFIG_SECTION" "$option" "${joined:+$joined }$*"
	list_cb "$option" "$*"
}

config_load() {
	local section
	for section in $CONFIG_SECTIONS; do
		eval "$(set | sed -n "s/^\(CONFIG_${section}_[A-Za-z0-9_]*\)=.*/unset \1/p")"
	done
	CONFIG_SECTIONS= CONFIG_COUNT=0 CONFIG_SECTION=
	. "/etc/config/$1"
}

# config_get VARIABLE SECTION OPTION [DEFAULT]
config_get() {
	eval "$1=\${CONFIG_$2_$3:-\$4}"
}

config_get_bool() {
	local _truth
	config_get _truth "$2" "$3" "$4"
	case "$_truth" in
		1 | on | true | yes | enabled) _truth=1 ;;
		0 | off | false | no | disabled) _truth=0 ;;
		*) _truth="$4" ;;
	esac
	eval "$1=\$_truth"
}

config_foreach() {
	local _function="$1" _wanted="$2" _section _type
	shift 2
	for _section in $CONFIG_SECTIONS; do
		config_get _type "$_section" TYPE
		[ -n "$_wanted" ] && [ "$_type" != "$_wanted" ] && continue
		"$_function" "$_section" "$@"
	done
}

# An option that is written where a list may be is a list of one.
config_list_foreach() {
	local _section="$1" _option="$2" _function="$3" _length _value _number=1
	shift 3
	config_get _length "$_section" "${_option}_LENGTH"
	if [ -z "$_length" ]; then
		config_get _value "$_section" "$_option"
		[ -z "$_value" ] || "$_function" "$_value" "$@"
		return
	fi
	while [ "$_number" -le "$_length" ]; do
		config_get _value "$_section" "${_option}_ITEM$_number"
		"$_function" "$_value" "$@"
		_number=$((_number + 1))
	done
}
