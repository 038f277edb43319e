# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A machine with Debian's systemd as its first process, and with what `make install` installs
# where it is on a host. Sourced by units.sh and units_dpdk.sh after lib.sh and balancer.sh.

UNITS=/usr/lib/systemd/system
SYSTEMD=(/usr/lib/systemd/systemd /usr/lib/systemd/systemd-journald /usr/bin/systemctl
	/usr/bin/journalctl
	"$UNITS"/{basic,local-fs,local-fs-pre,multi-user,network,network-online,paths,shutdown}.target
	"$UNITS"/{slices,sockets,swap,sysinit,timers,umount}.target
	"$UNITS"/systemd-journald{.service,.socket,-dev-log.socket})
for file in "${SYSTEMD[@]}"; do
	[[ -e $file ]] || skip "$file is not there: this host has no systemd of Debian's"
done

# ---- the installed programs; everything is where it is on a host ----

installed()
{
	VM_TREE=$RUN/vm/tree
	meson install -C "$BUILD" --no-rebuild --destdir "$VM_TREE" >"$RUN/log/install" 2>&1 ||
		fail "meson install: $(tail -n 3 "$RUN/log/install")"
	mkdir -p "$VM_TREE"/etc/lbd "$VM_TREE"/var/{lib,log,tmp} "$VM_TREE$UNITS/sysinit.target.wants"
	ln -s ../run "$VM_TREE/var/run"
	ln -s multi-user.target "$VM_TREE$UNITS/default.target"
	ln -s ../systemd-journald.service "$VM_TREE$UNITS/sysinit.target.wants/"
	echo 0123456789abcdef0123456789abcdef >"$VM_TREE/etc/machine-id"
	VM_FILES+=("${SYSTEMD[@]}")
}

lbctl()
{
	local file=${!#}
	if [[ $1 == apply && -f $file ]]; then
		vm_put lb "$file"
	fi
	in_ns lb lbctl "$@"
}

api()
{
	in_ns lb curl -gsS --fail --max-time 10 --unix-socket /run/lbd/lbd.sock "http://lbd$1"
}

systemctl()
{
	in_ns lb systemctl "$@"
}

# property NAME [UNIT]
property()
{
	systemctl show --value -p "$1" "${2:-lbd}"
}

write()
{
	in_ns lb bash -c "mkdir -p ${1%/*} && cat >$1 <<<'$2'"
}

# What the journal has of lbd since it was started last.
lbd_says()
{
	in_ns lb journalctl -q -o cat "_SYSTEMD_INVOCATION_ID=$(property InvocationID)" |
		grep -E -- "$1"
}

systemd_is_up()
{
	[[ $(systemctl is-system-running) == running ]]
}

# is_another PID [UNIT]: the unit runs, and not as that process.
is_another()
{
	[[ $(property MainPID "${2:-lbd}") != "$1" && $(property ActiveState "${2:-lbd}") == active ]]
}
