# The server of one package and the client of another, where the image's own build has them. What
# looks at files is the server by another name.
groupadd --system --gid 999 valkey
useradd --system --gid valkey --uid 999 --home-dir /data --shell /usr/sbin/nologin valkey
install -m 755 "$(find /mnt/server -name valkey-server)" "$(find /mnt -name valkey-cli)" /usr/local/bin/
for name in valkey-check-aof valkey-check-rdb valkey-sentinel redis-server redis-check-aof redis-check-rdb; do
    ln -s valkey-server "/usr/local/bin/$name"
done
ln -s valkey-cli /usr/local/bin/redis-cli
install -d -o valkey -g valkey -m 1777 /data

cat > /usr/local/bin/docker-entrypoint.sh <<'SCRIPT'
#!/bin/sh
# Serves as an ordinary user. The image's own build takes clients from other hosts without
# a password unless it is told otherwise; this one has to be told that it may.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- valkey-server "$@"; fi
if [ "$1" = valkey-server ]; then
    case "$*" in
    *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . \! -user valkey -exec chown valkey '{}' +
        exec setpriv --reuid=valkey --regid=valkey --clear-groups -- "$0" "$@"
    fi
    if [ "$(umask)" = 0022 ]; then umask 0077; fi
fi
exec "$@"
SCRIPT
chmod 755 /usr/local/bin/docker-entrypoint.sh
