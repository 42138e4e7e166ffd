# Debian's Python, moved to /usr/local and given back the layout that Python has of
# itself: site-packages, pip for the whole system, virtual environments.
install_packages ca-certificates netbase tzdata media-types \
    libbz2-1.0 libcom-err2 libcrypt1 libdb5.3 libexpat1 libffi8 libgdbm6 liblzma5 libncursesw6 \
    libnsl2 libreadline8 libsqlite3-0 libssl3 libtinfo6 libtirpc3 libuuid1 zlib1g

unpack_packages /tmp/python \
    python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libpython3.11-dev \
    python3.11-venv python3-distutils python3-lib2to3 python3-pip-whl python3-setuptools-whl
usr=/tmp/python/usr
lib=/usr/local/lib/python3.11
mv "$usr/lib/python3.11" "$lib"
mv "$usr/include/python3.11" /usr/local/include/
mv "$usr/include/x86_64-linux-gnu/python3.11/pyconfig.h" /usr/local/include/python3.11/pyconfig.h
mv "$usr/share/python-wheels" /usr/share/
mv "$usr/bin/python3.11" "$usr/bin/pydoc3.11" /usr/local/bin/
mv "$usr/bin/x86_64-linux-gnu-python3.11-config" /usr/local/bin/python3.11-config
rm -rf /tmp/python "$lib/EXTERNALLY-MANAGED" "$lib/sitecustomize.py" "$lib/_distutils_system_mod.py" \
    "$lib/test" "$lib"/config-3.11-*/*.a
ln -s python3.11 /usr/local/bin/python3
ln -s python3 /usr/local/bin/python
ln -s pydoc3.11 /usr/local/bin/pydoc3
ln -s pydoc3 /usr/local/bin/pydoc
ln -s python3.11-config /usr/local/bin/python3-config
ln -s python3-config /usr/local/bin/python-config
mkdir -p "$lib/site-packages"

# Debian's own install scheme, which puts things beside those of its packages.
edit "s/'posix_local'\$/'posix_prefix'/; s/'posix_local')/'posix_prefix')/" "$lib/sysconfig.py"
edit 's/elif is_default_prefix and not is_virtual_environment():/elif False:/' "$lib/distutils/sysconfig.py"
edit 's/or is_virtual_environment()):/or True):/' "$lib/distutils/command/install.py"
edit '/^    _ensurepip_is_disabled_in_debian_for_system()$/d' "$lib/ensurepip/__init__.py"
edit "s#'/usr/\(bin\|include\|lib/python3.11\|share/man\)#'/usr/local/\1#g" "$lib/_sysconfigdata__x86_64-linux-gnu.py"
edit "s#'prefix': '/usr'#'prefix': '/usr/local'#g" "$lib/_sysconfigdata__x86_64-linux-gnu.py"

# The module `site` is part of the program itself and cannot be edited: what it looks for
# in Debian's folder leads it to the usual one.
mkdir "$lib/dist-packages"
cat > "$lib/dist-packages/site-packages.pth" <<'LINES'
import site; site.getsitepackages = lambda prefixes=None: [prefix + "/lib/python3.11/site-packages" for prefix in dict.fromkeys(prefixes or PREFIXES)]; site.addsitedir("/usr/local/lib/python3.11/site-packages")
LINES

export PYTHONDONTWRITEBYTECODE=1
wheel=$(ls /mnt/pip/*.whl)
python3 "$wheel/pip" install --no-index --no-cache-dir --no-compile \
    /mnt/pip/*.whl /mnt/setuptools/*.whl /mnt/wheel/*.whl
