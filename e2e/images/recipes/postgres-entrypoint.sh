install -d -o postgres -g postgres -m 1777 /var/lib/postgresql "$PGDATA"
install -d -o postgres -g postgres -m 3777 /var/run/postgresql
mkdir /docker-entrypoint-initdb.d

cat > /usr/local/bin/docker-entrypoint.sh <<'SCRIPT'
#!/bin/bash
# Makes a database in an empty data folder, as the variables say, and serves it.
set -euo pipefail
[ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" != postgres ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres: "$PGDATA"
    chmod 700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
from_file() {
    local file="$1_FILE"
    if [ -n "${!file:-}" ]; then export "$1=$(cat "${!file}")"; fi
}
from_file POSTGRES_PASSWORD
from_file POSTGRES_USER
from_file POSTGRES_DB
if ! [ -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    name=${POSTGRES_DB:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo 'POSTGRES_PASSWORD must be given, or POSTGRES_HOST_AUTH_METHOD=trust.' >&2
        exit 1
    fi
    eval "extra=(${POSTGRES_INITDB_ARGS:-})"
    initdb --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") ${extra[@]+"${extra[@]}"}
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    pg_ctl start -w -o "-c listen_addresses=''"
    export PGUSER=$user PGHOST=/var/run/postgresql
    run() { psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --dbname "$name" "$@"; }
    [ "$name" = postgres ] || createdb --maintenance-db postgres "$name"
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sql) run -f "$file" ;;
        *.sql.gz) gunzip -c "$file" | run ;;
        *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        esac
    done
    pg_ctl stop -w -m fast
    unset PGUSER PGHOST
fi
exec "$@"
SCRIPT
chmod 755 /usr/local/bin/docker-entrypoint.sh
