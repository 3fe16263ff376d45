#!/usr/bin/env bash
# Runs test programs in a virtual machine where cgroup v2 rules: as root, and as an ordinary user who was delegated a group.
#
#   tests/sandbox/cgroup_vm.sh PROGRAM [ARGUMENT…]     such as target/release/deps/groups-0123456789abcdef
#
# The machine sees this system's files, read-only, and boots KERNEL (default: the newest in /boot, with its modules). Needed:
# qemu-system-x86_64, busybox (a static one), cpio, and a kernel with virtio and 9p as modules, such as Debian's.
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
kernel=${KERNEL:-$(ls /boot/vmlinuz-* | sort -V | tail -1)}
modules=/lib/modules/${kernel##*/vmlinuz-}
program=$(realpath "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a module needs first, then itself.
load() {
  local file
  modprobe --show-depends --set-version "${modules##*/}" "$1" | while read -r _ file _; do
    [ -f "$file" ] || continue
    cp -n "$file" "$work/root/modules/"
    grep -qxF "${file##*/}" "$work/root/modules/order" || echo "${file##*/}" >> "$work/root/modules/order"
  done
}
mkdir -p "$work"/root/{bin,modules,proc,sys,dev,new}
cp "$(command -v busybox)" "$work/root/bin/busybox"
touch "$work/root/modules/order"
for module in virtio_pci 9pnet_virtio 9p; do load "$module"; done

cat > "$work/root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
for module in $($b cat /modules/order); do $b insmod "/modules/$module"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /new
for folder in tmp var/tmp run root; do $b mount -t tmpfs none "/new/$folder"; done
$b cp /inside /new/run/inside
$b cp /command /new/run/command
$b cp /program /new/run/program
exec $b switch_root /new /bin/sh /run/inside
INIT

# Runs in the machine.
cat > "$work/root/inside" <<'INSIDE'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 none /sys/fs/cgroup
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp CI=1 HONE_CGROUPS=1
chmod 1777 /tmp /var/tmp
# Groups that are not ours must not be touched.
mkdir /sys/fs/cgroup/hone-foreign
ok=yes
run() {
  echo "--- as $1"
  shift
  "$@" bash /run/command || { echo "--- failed: $?"; ok=no; }
}
run root env
# What systemd does with Delegate=yes.
echo "+cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/user
chown 1234 /sys/fs/cgroup/user /sys/fs/cgroup/user/cgroup.procs /sys/fs/cgroup/user/cgroup.subtree_control
run "an ordinary user" sh -c 'echo $$ > /sys/fs/cgroup/user/cgroup.procs; exec setpriv --reuid 1234 --regid 1234 --clear-groups "$@"' -
[ -d /sys/fs/cgroup/hone-foreign ] || ok=no
echo "--- over: $ok"
echo o > /proc/sysrq-trigger
sleep 60
INSIDE
# Its folder may be closed to others, or hidden by those that are made anew.
install -m 755 "$program" "$work/root/program"
{
  echo 'set -e; mkdir -p "/tmp/$(id -u)"; cd "/tmp/$(id -u)"'
  printf 'exec /run/program'
  printf ' %q' "$@"
  echo
} > "$work/root/command"
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd"

qemu-system-x86_64 ${QEMU:-} -m 2048 -smp 2 -nographic -no-reboot -nic none -kernel "$kernel" -initrd "$work/initrd" \
  -append "console=ttyS0 quiet panic=-1" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap </dev/null | tee "$work/log"
grep -q -- '--- over: yes' "$work/log"
