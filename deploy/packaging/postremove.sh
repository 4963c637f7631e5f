#!/bin/sh
# After a removal systemd forgets the units. Objects, /var/lib/pithos, are never
# removed by a package, not even by a purge, nor is the user whose they are.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ] && [ -d /var/lib/pithos ]; then
	echo "pithos: /var/lib/pithos is left, with all objects in it: remove it by hand (rm -r /var/lib/pithos; userdel pithos)"
fi
