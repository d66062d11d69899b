# Stands in for OpenWrt's procd.sh: what a script says to procd is written to /tmp/procd, one call
# a line. A service without an instance is one that procd stops.

. /usr/share/libubox/jshn.sh

_procd_say() {
	echo "$*" >>/tmp/procd.new
}

procd_open_service() { : >/tmp/procd.new; }
procd_close_service() {
	service_triggers
	mv /tmp/procd.new /tmp/procd
}

for _call in open_instance close_instance set_param add_reload_trigger add_interface_trigger \
	add_restart_mount_trigger; do
	eval "procd_$_call() { _procd_say $_call \"\$@\"; }"
done
