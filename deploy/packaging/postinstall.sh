#!/bin/sh
# Makes the user that the service runs as, and has systemd notice the units.
set -e
if ! getent passwd pithos >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/pithos --shell /usr/sbin/nologin pithos
fi
chown root:pithos /etc/pithos /etc/pithos/pithos.yaml /etc/default/pithos
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# After an upgrade: a running service goes on with the new binary.
	systemctl try-restart pithos.service
fi
