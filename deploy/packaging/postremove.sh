#!/bin/sh
# After a removal systemd forgets the units. No package removes the objects in
# /var/lib/pithos or the user that owns them, not even by a purge.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ] && [ -d /var/lib/pithos ]; then
	echo "pithos: /var/lib/pithos stays, with all objects: to delete them, rm -r /var/lib/pithos; userdel pithos"
fi
