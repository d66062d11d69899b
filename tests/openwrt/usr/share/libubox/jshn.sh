# Stands in for libubox's jshn: objects and arrays that are open, from the outside in, in J_OPEN.

_json_escaped() {
	# The x keeps line ends at the end.
	printf '%sx' "$1" | awk '
		BEGIN { ORS = "" }
		NR > 1 { print "\\n" }
		{ gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\r/, "\\r"); print }' |
		sed '$ s/x$//'
}

# _json_put NAME TEXT: arrays have no names.
_json_put() {
	case "$J_OPEN" in
		*a) J="$J$2," ;;
		*) J="$J\"$(_json_escaped "$1")\":$2," ;;
	esac
}

json_init() {
	J="{" J_OPEN=o
}

json_add_string() {
	_json_put "$1" "\"$(_json_escaped "$2")\""
}

json_add_boolean() {
	[ "$2" = 1 ] && _json_put "$1" true || _json_put "$1" false
}

_json_open() {
	_json_put "$1" "$2"
	J="${J%,}"
	J_OPEN="$J_OPEN$3"
}

_json_close() {
	J="${J%,}$1,"
	J_OPEN="${J_OPEN%?}"
}

json_add_object() { _json_open "$1" "{" o; }
json_close_object() { _json_close "}"; }
json_add_array() { _json_open "$1" "[" a; }
json_close_array() { _json_close "]"; }

json_dump() {
	printf '%s}\n' "${J%,}"
}
