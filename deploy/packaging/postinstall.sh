#!/bin/sh
# Creates the user of the service, and reloads the units of systemd.
set -e
if ! getent passwd pithos >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/pithos --shell /usr/sbin/nologin pithos
fi
chown root:pithos /etc/pithos /etc/pithos/pithos.yaml /etc/default/pithos
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# After an upgrade: a running service restarts with the new binary.
	systemctl try-restart pithos.service
fi
