# Stands in for libubox's jshn. J_OPEN has the open objects and arrays, from the outside in. As there, names become names
# of shell variables: two names in one object that differ only in other characters become one, with the first such name
# and the last value.

_json_escaped() {
	# The x keeps line ends at the end of the text.
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
		*) J="$J\"$(_json_name "$1")\":$2," ;;
	esac
}

# The name under which $1 ends up in the object J_SEQ.
_json_name() {
	local plain
	plain="$(printf '%s' "$1" | sed 's/[^a-zA-Z0-9_]/_/g')"
	[ "$plain" = "$1" ] || [ -f "/tmp/jshn.$$.$J_SEQ.$plain" ] || printf '%s' "$1" >"/tmp/jshn.$$.$J_SEQ.$plain"
	_json_escaped "$(cat "/tmp/jshn.$$.$J_SEQ.$plain" 2>/dev/null || printf '%s' "$1")"
}

json_init() {
	rm -f /tmp/jshn.$$.*
	J="{" J_OPEN=o J_SEQ=0
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
	J_SEQ=$((J_SEQ + 1))
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
