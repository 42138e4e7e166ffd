# Rust's toolchain where rustup would have put it, and what links programs.
install_packages ca-certificates gcc libc6-dev

toolchain=$RUSTUP_HOME/toolchains/$RUST_VERSION-x86_64-unknown-linux-gnu
mkdir -p "$toolchain/bin" "$CARGO_HOME/bin"
cp -R /mnt/rust/lib "$toolchain/lib"
for program in cargo rustc rustdoc; do
    cp "/mnt/rust/bin/$program" "$toolchain/bin/$program"
    ln -s "$toolchain/bin/$program" "$CARGO_HOME/bin/$program"
done
# Components that are not part of the minimal profile, and their lists.
rm -rf "$toolchain/lib/rustlib/src" "$toolchain"/lib/rustlib/manifest-* "$toolchain/lib/rustlib/etc"
chmod -R u+w,a+rX,go-w "$RUSTUP_HOME"
chmod -R a+w "$CARGO_HOME"
