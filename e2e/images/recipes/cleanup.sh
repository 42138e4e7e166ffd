# What packages leave behind and no image needs.
find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
rm -rf /var/log/* /var/lib/dpkg/*-old /var/cache/debconf/*-old /var/cache/ldconfig/* /var/cache/apt/*.bin \
    /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- \
    /var/lib/systemd /root/.cache /root/.npm
find /tmp -mindepth 1 -delete
