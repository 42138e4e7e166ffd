# Debian's Redis where the image's own build has it.
groupadd --system --gid 999 redis
useradd --system --gid redis --uid 999 --home-dir /data --shell /usr/sbin/nologin redis
install_packages gosu libatomic1 libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 libssl3 libsystemd0 lua-bitop lua-cjson tzdata
unpack_packages /tmp/redis redis-server redis-tools
# Some are links to each other.
cp -a /tmp/redis/usr/bin/redis-* /usr/local/bin/
rm -rf /tmp/redis
ln -s /usr/sbin/gosu /usr/local/bin/gosu
install -d -o redis -g redis /data

cat > /usr/local/bin/docker-entrypoint.sh <<'SCRIPT'
#!/bin/sh
# Serves as an ordinary user. The image's own build takes clients from other hosts without
# a password unless it is told otherwise; this one has to be told that it may.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ]; then
    case "$*" in
    *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec gosu redis "$0" "$@"
    fi
    if [ "$(umask)" = 0022 ]; then umask 0077; fi
fi
exec "$@"
SCRIPT
chmod 755 /usr/local/bin/docker-entrypoint.sh
