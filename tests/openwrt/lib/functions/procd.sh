# Stands in for OpenWrt's procd.sh, and for procd behind it. A script builds its message in shell variables, so a second
# message in between spoils the first. Closing the service sends it: it is then in /tmp/procd, one line for each call.
#
# As procd does: a service without an instance is stopped. If anything about an instance differs from the one before
# (command, environment, user, limits, the content of files), the process is restarted; but if the one before has a
# reload_signal, the process only gets that signal. A service that was deleted and set again gets another process. What
# is done to processes is in /tmp/procd.acts, one line each: start, stop, signal NAME. While there is a process,
# /tmp/procd.process has what it was started with.

. /usr/share/libubox/jshn.sh

_procd_said() {
	PROCD_SAID="$PROCD_SAID$*
"
}

procd_open_service() { PROCD_SAID=; }

for _call in open_instance close_instance set_param add_interface_trigger; do
	eval "procd_$_call() { _procd_said $_call \"\$@\"; }"
done

# It becomes a trigger with the name of the script and `reload`.
procd_add_reload_trigger() { _procd_said add_reload_trigger "$@"; }

# A folder that /etc/config/fstab does not mount makes no trigger.
procd_add_restart_mount_trigger() {
	local mounted
	mounted="$(procd_get_mountpoints "$@")"
	[ -z "$mounted" ] || _procd_said add_restart_mount_trigger "$mounted"
}

# The mount points in /etc/config/fstab on the way to a folder.
procd_get_mountpoints() {
	(
		_on_the_way() {
			local target
			config_get target "$1" target
			case "${2%/}/" in "${target%/}/"*) echo "${target%/}" ;; esac
		}
		config_load fstab
		for path in "$@"; do config_foreach _on_the_way mount "$path"; done
	) | sort -u
}

_procd_act() { echo "$*" >>/tmp/procd.acts; }

# What makes two instances different: everything that is set for them, and the content of their files.
_procd_instance() {
	sed -n '/^open_instance/,/^close_instance/p' /tmp/procd
	sed -n 's/^set_param file //p' /tmp/procd | while read -r files; do md5sum $files; done
}

_procd_start() {
	_procd_act start
	grep -E '^set_param (command|env) ' /tmp/procd >/tmp/procd.process
}

procd_close_service() {
	local before signal
	service_triggers
	before="$(cat /tmp/procd.instance 2>/dev/null)"
	printf '%s' "$PROCD_SAID" >/tmp/procd
	_procd_instance >/tmp/procd.instance
	if ! grep -q '^open_instance' /tmp/procd; then
		rm -f /tmp/procd.instance
		[ ! -f /tmp/procd.process ] || { rm -f /tmp/procd.process; _procd_act stop; }
	elif [ ! -f /tmp/procd.process ]; then
		_procd_start
	elif [ "$before" != "$(cat /tmp/procd.instance)" ]; then
		signal="$(echo "$before" | sed -n 's/^set_param reload_signal //p')"
		if [ -n "$signal" ]; then
			_procd_act signal "$signal"
		else
			_procd_act stop
			_procd_start
		fi
	fi
	return 0
}

procd_kill() {
	PROCD_SAID=
	[ ! -f /tmp/procd.process ] || _procd_act stop
	rm -f /tmp/procd /tmp/procd.instance /tmp/procd.process
}

# As procd does, it needs the name of a known service.
procd_send_signal() {
	[ -f /tmp/procd.instance ] && [ -f /tmp/procd.process ] && _procd_act signal "$3"
}

# Begins a new JSON object, even in the middle of another one.
procd_running() {
	json_init
	[ -f /tmp/procd.process ]
}
