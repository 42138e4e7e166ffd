# What every recipe has at hand. What was fetched for it is in /mnt.
set -eu
export DEBIAN_FRONTEND=noninteractive
umask 022

# Packages are read as root: nobody else may in the folders that recipes share. And they stay there,
# whatever the image's own settings say.
printf '#clear %s;\n' DPkg::Post-Invoke APT::Update::Post-Invoke > /tmp/apt.conf
packages() {
    apt-get -qq -c /tmp/apt.conf -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@"
}

# Installs Debian packages and nothing that they only recommend.
install_packages() {
    packages install --yes --no-install-recommends "$@"
}

# Puts the content of Debian packages into a folder without installing them.
unpack_packages() {
    folder=$1
    shift
    mkdir -p "$folder/.packages"
    (cd "$folder/.packages" && packages download "$@")
    for package in "$folder"/.packages/*.deb; do
        dpkg-deb -x "$package" "$folder"
    done
    rm -rf "$folder/.packages"
}

# Changes a file with sed expressions, and fails when one changes nothing.
edit() {
    expression=$1
    file=$2
    sed "$expression" "$file" > "$file.edited"
    if cmp -s "$file" "$file.edited"; then
        echo "nothing to change in $file with: $expression" >&2
        exit 1
    fi
    cat "$file.edited" > "$file"
    rm "$file.edited"
}
