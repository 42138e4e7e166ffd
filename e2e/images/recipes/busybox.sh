# Busybox with the libraries it needs to look up names, under all of its names.
install_packages netbase
unpack_packages /tmp/busybox busybox
mkdir -p /out/bin /out/lib /out/lib64 /out/etc /out/home /out/root /out/tmp /out/usr/bin /out/usr/sbin \
    /out/var/spool/mail /out/var/www /out/dev
cp /tmp/busybox/bin/busybox /out/bin/busybox
for name in $(/out/bin/busybox --list | grep -vx busybox); do
    ln /out/bin/busybox "/out/bin/$name"
done
ln -s ../../bin/env /out/usr/bin/env
libraries=/lib/x86_64-linux-gnu
cp -L "$libraries"/libc.so.6 "$libraries"/libm.so.6 "$libraries"/libpthread.so.0 \
    "$libraries"/libresolv.so.2 "$libraries"/libnss_*.so.2 /out/lib/
cp -L /lib64/ld-linux-x86-64.so.2 /out/lib64/
cp /etc/services /etc/protocols /out/etc/
echo 'hosts: files dns' > /out/etc/nsswitch.conf
cat > /out/etc/passwd <<'LINES'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
LINES
cat > /out/etc/group <<'LINES'
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
wheel:x:10:root
www-data:x:33:
operator:x:37:
users:x:100:
nobody:x:65534:
LINES
printf 'root:*:::::::\n' > /out/etc/shadow
chmod 600 /out/etc/shadow
chmod 1777 /out/tmp
chmod 700 /out/root
