# Node as its own archive lays it out under /usr/local, with the package managers that
# come with it.
groupadd --gid 1000 node
useradd --uid 1000 --gid node --shell /bin/bash --create-home node
install_packages libatomic1

cp -R /mnt/node/bin /mnt/node/include /mnt/node/share /usr/local/
# As in the official image: headers of OpenSSL for other machines are 34 MB.
find /usr/local/include/node/openssl/archs -mindepth 1 -maxdepth 1 ! -name linux-x86_64 -exec rm -r {} +
cp /mnt/node/LICENSE /mnt/node/README.md /mnt/node/CHANGELOG.md /usr/local/
chmod 755 /usr/local/bin/node
ln -s /usr/local/bin/node /usr/local/bin/nodejs

modules=/usr/local/lib/node_modules
mkdir -p "$modules" /opt
cp -R /mnt/npm "$modules/npm"
cp -R /mnt/corepack "$modules/corepack"
cp -R /mnt/yarn "/opt/yarn-v$YARN_VERSION"
for link in npm=npm/bin/npm-cli.js npx=npm/bin/npx-cli.js corepack=corepack/dist/corepack.js; do
    chmod 755 "$modules/${link#*=}"
    ln -s "../lib/node_modules/${link#*=}" "/usr/local/bin/${link%%=*}"
done
for name in yarn yarnpkg; do
    chmod 755 "/opt/yarn-v$YARN_VERSION/bin/$name"
    ln -s "/opt/yarn-v$YARN_VERSION/bin/$name" "/usr/local/bin/$name"
done
chmod 755 "/opt/yarn-v$YARN_VERSION/bin/yarn.js"

cat > /usr/local/bin/docker-entrypoint.sh <<'SCRIPT'
#!/bin/sh
# Options, scripts and whatever else is no program are for node.
set -e
case "$1" in
-*) set -- node "$@" ;;
*) if [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then set -- node "$@"; fi ;;
esac
exec "$@"
SCRIPT
chmod 755 /usr/local/bin/docker-entrypoint.sh
