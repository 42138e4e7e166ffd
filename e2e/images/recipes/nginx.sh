# Debian's nginx, set up as the unprivileged image is: for its own user, on port 8080, with
# templates that are filled from the environment, and nothing written but under /tmp and
# into conf.d.
groupadd --system --gid 101 nginx
useradd --system --uid 101 --gid nginx --home-dir /nonexistent --no-create-home --shell /bin/false nginx
install_packages ca-certificates gettext-base nginx-light

rm -rf /etc/nginx/conf.d /etc/nginx/sites-* /etc/nginx/snippets /etc/nginx/modules-* /var/www /var/log/nginx \
    /usr/share/nginx/html
mkdir -p /etc/nginx/conf.d /etc/nginx/templates /docker-entrypoint.d /usr/share/nginx/html
cat > /etc/nginx/nginx.conf <<'LINES'
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
cat > /etc/nginx/conf.d/default.conf <<'LINES'
server {
    listen 8080;
    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
LINES
echo '<!doctype html><title>nginx</title><p>nginx is installed.' > /usr/share/nginx/html/index.html
chown -R nginx:nginx /etc/nginx/conf.d

cat > /docker-entrypoint.d/20-envsubst-on-templates.sh <<'SCRIPT'
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
cat > /docker-entrypoint.sh <<'SCRIPT'
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
chmod 755 /docker-entrypoint.sh /docker-entrypoint.d/*.sh
