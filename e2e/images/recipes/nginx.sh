# Debian's nginx on busybox, as small as the unprivileged image on Alpine and set up as that is: for
# its own user, on port 8080, with templates that are filled from the environment, and nothing written
# but under /tmp and into conf.d.
install_packages gettext-base nginx-light
unpack_packages /tmp/busybox busybox-static
mkdir -p /out/bin /out/sbin /out/usr/bin /out/usr/sbin /out/root /out/tmp /out/dev /out/proc /out/sys \
    /out/run /out/var/cache/nginx /out/var/lib/nginx /out/var/log/nginx /out/usr/share/nginx/html \
    /out/etc/nginx/conf.d /out/docker-entrypoint.d
chmod 1777 /out/tmp
chmod 700 /out/root
cp /tmp/busybox/bin/busybox /out/bin/busybox
for name in $(/out/bin/busybox --list | grep -vx busybox); do
    ln -s /bin/busybox "/out/bin/$name"
done
ln -s ../../bin/env /out/usr/bin/env

for program in /usr/sbin/nginx /usr/bin/envsubst; do
    cp "$program" "/out$program"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "/out$(dirname "$library")"
        cp -L "$library" "/out$library"
    done
done
cat > /out/etc/passwd <<'LINES'
root:x:0:0:root:/root:/bin/sh
nginx:x:101:101:nginx:/var/cache/nginx:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
LINES
cat > /out/etc/group <<'LINES'
root:x:0:
nginx:x:101:
nobody:x:65534:
LINES
cp /etc/os-release /out/etc/
cp /etc/nginx/mime.types /out/etc/nginx/
ln -s /dev/stdout /out/var/log/nginx/access.log
ln -s /dev/stderr /out/var/log/nginx/error.log

cat > /out/etc/nginx/nginx.conf <<'LINES'
worker_processes auto;
error_log /dev/stderr notice;
pid /tmp/nginx.pid;

events {
    worker_connections 1024;
}

http {
    client_body_temp_path /tmp/client_temp;
    proxy_temp_path /tmp/proxy_temp;
    fastcgi_temp_path /tmp/fastcgi_temp;
    uwsgi_temp_path /tmp/uwsgi_temp;
    scgi_temp_path /tmp/scgi_temp;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout combined;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
LINES
cat > /out/etc/nginx/conf.d/default.conf <<'LINES'
server {
    listen 8080;
    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
LINES
echo '<!doctype html><title>nginx</title><p>nginx is installed.' > /out/usr/share/nginx/html/index.html
chown -R 101:0 /out/etc/nginx /out/var/cache/nginx

cat > /out/docker-entrypoint.d/20-envsubst-on-templates.sh <<'SCRIPT'
#!/bin/sh
# Only what is set is filled in: nginx' own variables look the same.
set -e
names=$(printf '${%s} ' $(awk 'END { for (name in ENVIRON) print name }' < /dev/null))
for template in /etc/nginx/templates/*.template; do
    [ -f "$template" ] || continue
    target=/etc/nginx/conf.d/$(basename "$template" .template)
    envsubst "$names" < "$template" > "$target"
done
SCRIPT
cat > /out/docker-entrypoint.sh <<'SCRIPT'
#!/bin/sh
# What prepares nginx runs only for nginx.
set -e
if [ "$1" = nginx ]; then
    for script in /docker-entrypoint.d/*.sh; do
        "$script"
    done
fi
exec "$@"
SCRIPT
chmod 755 /out/docker-entrypoint.sh /out/docker-entrypoint.d/*.sh
