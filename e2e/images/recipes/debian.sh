# The smallest Debian, which mmdebstrap has just made, as the slim image is.
rm -rf /etc/hostname /etc/resolv.conf /etc/machine-id /var/lib/dbus/machine-id
