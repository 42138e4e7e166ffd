
# What a program needs that is linked with C and C++ libraries.
unpack_packages /tmp/libraries libc6 libgcc-s1 libgomp1 libssl3 libstdc++6
rm -rf /tmp/libraries/usr/share/lintian /tmp/libraries/usr/share/gcc /tmp/libraries/usr/share/gdb
cp -a /tmp/libraries/. /out/
rm -rf /tmp/libraries
