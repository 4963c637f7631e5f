#!/bin/sh
# Stops the service before it is removed; an upgrade leaves it running. Data
# and configuration stay.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now pithos.service pithos.socket pithos-admin.socket
	fi
	;;
esac
