# Debian's own, in the folders where Postgres' packages for Debian have them. Without the compiler of
# queries, whose library is larger than all else.
groupadd --system --gid 999 postgres
useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install_packages gosu locales xz-utils zstd \
    libgssapi-krb5-2 libicu72 libldap-2.5-0 liblz4-1 libpam0g libpq5 libreadline8 libselinux1 libssl3 \
    libsystemd0 libuuid1 libxml2 libxslt1.1 libzstd1 zlib1g
ln -s /usr/sbin/gosu /usr/local/bin/gosu
localedef -i en_US -c -f UTF-8 -A /usr/share/locale/locale.alias en_US.UTF-8 ||
    localedef -i en_US -c -f UTF-8 en_US.UTF-8

unpack_packages /tmp/postgres "postgresql-$PG_MAJOR" "postgresql-client-$PG_MAJOR"
mkdir -p /usr/lib/postgresql /usr/share/postgresql
for folder in lib share; do
    cp -a "/tmp/postgres/usr/$folder/postgresql/$PG_MAJOR" "/usr/$folder/postgresql/"
done
rm -rf /tmp/postgres "/usr/lib/postgresql/$PG_MAJOR"/lib/llvmjit* "/usr/lib/postgresql/$PG_MAJOR/lib/bitcode" \
    "/usr/lib/postgresql/$PG_MAJOR/lib/pgxs"
ln -s "$PG_MAJOR/postgresql.conf.sample" /usr/share/postgresql/postgresql.conf.sample
cat >> "/usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample" <<'LINES'

listen_addresses = '*'
unix_socket_directories = '/var/run/postgresql, /tmp'
LINES

