# What a static program may want to find, and nothing that runs.
install_packages ca-certificates netbase tzdata

mkdir -p /out/etc/ssl/certs /out/usr/share /out/usr/lib /out/tmp /out/root /out/home/nonroot \
    /out/var/tmp /out/run /out/bin /out/sbin /out/lib /out/dev /out/proc /out/sys
cp -P /etc/os-release /etc/debian_version /etc/protocols /etc/services /etc/rpc /etc/ethertypes /out/etc/
cp /usr/lib/os-release /out/usr/lib/
cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/
cp -a /usr/share/zoneinfo /out/usr/share/
rm -rf /out/usr/share/zoneinfo/right /out/usr/share/zoneinfo/posix
cat > /out/etc/passwd <<'LINES'
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
LINES
cat > /out/etc/group <<'LINES'
root:x:0:
nobody:x:65534:
tty:x:5:
staff:x:50:
nonroot:x:65532:
LINES
echo 'hosts: files dns' > /out/etc/nsswitch.conf
chmod 1777 /out/tmp /out/var/tmp
chmod 700 /out/root /out/home/nonroot
chown 65532:65532 /out/home/nonroot
