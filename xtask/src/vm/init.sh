#!/usr/bin/busybox sh
# The first process of a guest: mounts, loads modules, runs what it is told to, and reports on the
# second serial port. /etc/guest has MODULES and COMMAND, /etc/tests a name and a program per line.
/usr/bin/busybox mkdir -p /usr/local/bin
/usr/bin/busybox --install -s /usr/local/bin
export PATH=/usr/sbin:/usr/bin:/usr/local/bin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
# Nothing over any other folder: the tree, whose programs lie at their own paths, may be below it.
[ -d /run/netns ] || mkdir /run/netns
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up

. /etc/guest
ulimit -n 1048576
ulimit -l unlimited
exec 3>/dev/ttyS1
for module in $MODULES; do modprobe -q "$module"; done

if [ -n "$COMMAND" ]; then
    echo '@@ command' >&3
    sh -c "$COMMAND" >&3 2>&3
    echo "@@ ended $?" >&3
fi
while read -r name program; do
    echo "@@ test $name" >&3
    timeout "$TEST_SECONDS" "$program" --include-ignored --test-threads=1 </dev/null >&3 2>&3
    echo "@@ ended $?" >&3
done </etc/tests
echo '@@ complete' >&3
sync
poweroff -f
