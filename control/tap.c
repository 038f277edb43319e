// SPDX-License-Identifier: BSD-2-Clause
//
// TAPs by /dev/net/tun and ioctl(2) (tun in the kernel's networking documentation,
// netdevice(7)). Called by lbd at start and when links change, and by lb-dpdk, both
// on their control threads.
#include "control/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_DEVICE "/dev/net/tun"

static struct ifreq request_of(const char *name)
{
	struct ifreq r = {};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

// An ioctl of the socket's kind. 0 or a negative errno.
static int ask(unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int status = fd < 0 || ioctl(fd, what, r) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return status;
}

static int refuse_existing(const char *name, struct err *e)
{
	return err_set(
		e, -EEXIST,
		"interface %s is there already and is no TAP with several queues: name "
		"another in lbd.yaml, or rename it (`ip link set %s name ...`), or, if it is "
		"an old TAP, `ip link delete %s`",
		name, name, name);
}

int tap_check(const char *name, struct err *e)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq r = request_of(name);

	r.ifr_data = (char *)&driver;
	if (!if_nametoindex(name))
		return 0;
	// What names no driver at all is no TAP either.
	if (ask(SIOCETHTOOL, &r) || strcmp(driver.driver, "tun") != 0 ||
	    strcmp(driver.bus_info, "tap") != 0)
		return refuse_existing(name, e);
	return 0;
}

static int refuse(const char *name, bool existed, int code, struct err *e)
{
	// It is a TAP with a single queue, or was made just now.
	if (existed && (code == EINVAL || code == EBUSY))
		return refuse_existing(name, e);
	return err_set(e, -code, "cannot make the TAP %s: %s%s", name, strerror(code),
		       code == EPERM ? "; it needs CAP_NET_ADMIN" : "");
}

int tap_open(const char *name, int *ret_fd, struct err *e)
{
	bool existed = if_nametoindex(name);
	struct ifreq r = request_of(name);
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK), code;

	if (fd < 0)
		return err_set(e, -errno, "cannot open " TUN_DEVICE ": %s%s", strerror(errno),
			       errno == ENOENT ? "; `modprobe tun` brings it" : "");
	r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &r)) {
		code = errno;
		close(fd);
		return refuse(name, existed, code, e);
	}
	*ret_fd = fd;
	return 0;
}

static int set_up(const char *name)
{
	struct ifreq r = request_of(name);
	int status = ask(SIOCGIFFLAGS, &r);

	r.ifr_flags |= IFF_UP;
	return status ? status : ask(SIOCSIFFLAGS, &r);
}

int tap_make(const char *name, int *ret_fd, struct err *e)
{
	struct ifreq off = {.ifr_flags = IFF_DETACH_QUEUE};
	bool existed = if_nametoindex(name);
	int fd = -1, status = tap_open(name, &fd, e);

	if (status)
		return status;
	if (ioctl(fd, TUNSETPERSIST, 1) || ioctl(fd, TUNSETQUEUE, &off))
		status = err_set(e, -errno, "cannot keep the TAP %s: %s", name, strerror(errno));
	// One that was there is as the operator has set it.
	if (!status && !existed) {
		status = set_up(name);
		if (status)
			err_set(e, status, "cannot set %s up: %s", name, strerror(-status));
	}
	if (status)
		close(fd);
	else
		*ret_fd = fd;
	return status;
}

int tap_set_mac(const char *name, const uint8_t mac[6])
{
	struct ifreq r = request_of(name);
	int status = ask(SIOCGIFHWADDR, &r);

	if (status || !memcmp(r.ifr_hwaddr.sa_data, mac, 6))
		return status;
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	return ask(SIOCSIFHWADDR, &r);
}

int tap_limit_mtu(const char *name, uint32_t mtu)
{
	struct ifreq r = request_of(name);
	int status = ask(SIOCGIFMTU, &r);

	if (status || !mtu || (uint32_t)r.ifr_mtu <= mtu)
		return status;
	r.ifr_mtu = (int)mtu;
	return ask(SIOCSIFMTU, &r);
}
