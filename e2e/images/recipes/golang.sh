# Go's own toolchain, with what cgo and go get need.
install_packages ca-certificates curl gcc git libc6-dev make netbase openssh-client pkg-config wget

cp -R /mnt/go /usr/local/go
# The module's files are read-only, none is a program, and a go.mod in a module is hidden.
chmod -R u+w,go-w,a+rX /usr/local/go
chmod 755 /usr/local/go/bin/* $(find /usr/local/go/pkg/tool -type f)
find /usr/local/go -name '*.bash' -exec chmod 755 {} +
find /usr/local/go/src -name _go.mod | while read -r hidden; do
    mv "$hidden" "${hidden%_go.mod}go.mod"
done
mkdir -p "$GOPATH/src" "$GOPATH/bin"
chmod -R 1777 "$GOPATH"
