# The smallest Debian, which mmdebstrap has just made, as the slim image is.
rm -rf /etc/hostname /etc/resolv.conf /etc/machine-id /var/lib/dbus/machine-id

# apt leaves nothing behind in a layer but its lists.
cat > /etc/apt/apt.conf.d/docker-clean <<'LINES'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
LINES
