// SPDX-License-Identifier: BSD-2-Clause
//
// Links and addresses, as last dumped, and the VIPs on loopback. Our VIPs carry
// NETLINK_VIP_PROTO as their protocol, so that a restarted lbd knows them and never
// touches an address that the operator put there.
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink_internal.h"

// ---- links ----

static int read_link(const struct nlmsghdr *message, void *arg)
{
	const struct ifinfomsg *info = netlink_read_header(message, sizeof(*info));
	struct netlink_link *l = netlink_rows_add(arg);
	const struct nlattr *a;

	if (!l) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	l->ifindex = info->ifi_index;
	l->is_up = info->ifi_flags & IFF_UP;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(l->name, netlink_read_text(a), sizeof(l->name) - 1);
			break;
		case IFLA_MTU:
			l->mtu = netlink_read_u32(a);
			break;
		case IFLA_ADDRESS:
			l->has_mac = mnl_attr_get_payload_len(a) == sizeof(l->mac) &&
				     info->ifi_type == ARPHRD_ETHER;
			if (l->has_mac)
				memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
			break;
		}
	}
	return MNL_CB_OK;
}

int netlink_dump_links(struct netlink *n, bool *ret_changed)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *info;
	struct netlink_rows r = {.row_bytes = sizeof(struct netlink_link)};
	int status;

	m->nlmsg_type = RTM_GETLINK;
	m->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	status = netlink_request(n, m, read_link, &r);
	if (status) {
		free(r.rows);
		return status;
	}
	*ret_changed =
		r.n != n->links_n || (r.n && memcmp(r.rows, n->links, r.n * sizeof(*n->links)));
	free(n->links);
	n->links = r.rows;
	n->links_n = r.n;
	return 0;
}

const struct netlink_link *netlink_lookup_link(const struct netlink *n, uint32_t ifindex)
{
	for (size_t i = 0; i < n->links_n; i++)
		if (n->links[i].ifindex == ifindex)
			return &n->links[i];
	return NULL;
}

// ---- addresses ----

static int read_address(const struct nlmsghdr *message, void *arg)
{
	const struct ifaddrmsg *info = netlink_read_header(message, sizeof(*info));
	struct netlink_address *row;
	const struct nlattr *a, *address = NULL, *local = NULL;
	uint32_t flags = info->ifa_flags;
	uint8_t proto = 0;

	if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
		return MNL_CB_OK;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case IFA_ADDRESS:
			address = a;
			break;
		case IFA_LOCAL: // of a point-to-point link; IFA_ADDRESS is then the other end
			local = a;
			break;
		case IFA_FLAGS:
			flags = netlink_read_u32(a);
			break;
		case IFA_PROTO:
			proto = netlink_read_u8(a);
			break;
		}
	}
	if ((!address && !local) || flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
		return MNL_CB_OK;
	row = netlink_rows_add(arg);
	if (!row) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	row->ifindex = info->ifa_index;
	row->prefix.address = netlink_read_address(local ? local : address);
	row->prefix.len = info->ifa_prefixlen;
	row->is_global = info->ifa_scope == RT_SCOPE_UNIVERSE;
	row->is_ours = info->ifa_index == LOOPBACK_IFINDEX && proto == NETLINK_VIP_PROTO;
	return MNL_CB_OK;
}

// Whether the host's own addresses (not our VIPs) are the same in both.
static bool same_addresses(const struct netlink_address *a, size_t a_n,
			   const struct netlink_address *b, size_t b_n)
{
	size_t i = 0, j = 0;

	for (;; i++, j++) {
		while (i < a_n && a[i].is_ours)
			i++;
		while (j < b_n && b[j].is_ours)
			j++;
		if (i == a_n || j == b_n)
			return i == a_n && j == b_n;
		if (memcmp(&a[i], &b[j], sizeof(a[i])))
			return false;
	}
}

int netlink_dump_addresses(struct netlink *n, bool *ret_changed)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct netlink_rows r = {.row_bytes = sizeof(struct netlink_address)};
	int status;

	m->nlmsg_type = RTM_GETADDR;
	m->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(m, sizeof(struct ifaddrmsg));
	status = netlink_request(n, m, read_address, &r);
	if (status) {
		free(r.rows);
		return status;
	}
	*ret_changed = !same_addresses(r.rows, r.n, n->addresses, n->addresses_n);
	free(n->addresses);
	n->addresses = r.rows;
	n->addresses_n = r.n;
	return 0;
}

bool netlink_is_host_address(const struct netlink *n, const struct lb_address *address)
{
	for (size_t i = 0; i < n->addresses_n; i++)
		if (n->addresses[i].ifindex != LOOPBACK_IFINDEX &&
		    address_is_equal(&n->addresses[i].prefix.address, address))
			return true;
	return false;
}

int netlink_lookup_source(const struct netlink *n, uint32_t ifindex, int family,
			  struct lb_address *ret)
{
	for (size_t i = 0; i < n->addresses_n; i++) {
		const struct netlink_address *a = &n->addresses[i];

		if (a->ifindex == ifindex && a->is_global &&
		    address_family(&a->prefix.address) == family) {
			*ret = a->prefix.address;
			return 0;
		}
	}
	return -ENOENT;
}

bool netlink_is_connected(const struct netlink *n, const struct lb_address *address)
{
	const struct netlink_link *link;
	struct netlink_answer answer;

	// The kernel's routes decide: its answer is at hand, and changes no state of ours.
	if (netlink_ask_route((struct netlink *)n, address, &answer) ||
	    answer.type != RTN_UNICAST || answer.has_gateway)
		return false;
	link = netlink_lookup_link(n, answer.ifindex);
	for (size_t i = 0; link && i < n->settings->interfaces_n; i++)
		if (!strcmp(link->name, n->settings->interfaces[i].name))
			return true;
	return false;
}

// ---- VIPs on loopback ----

static int compare_vips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_address));
}

// NULL: it is no VIP.
static struct lb_address *find_vip(const struct netlink *n, const struct lb_address *address)
{
	return n->vips_n ? bsearch(address, n->vips, n->vips_n, sizeof(*n->vips), compare_vips)
			 : NULL;
}

bool netlink_is_vip(const struct netlink *n, const struct lb_address *address)
{
	return find_vip(n, address);
}

static int change_vip(struct netlink *n, const struct lb_address *vip, bool add)
{
	// Never the source of what the host itself sends (RFC 6724, rule 3).
	const struct ifa_cacheinfo lifetime = {.ifa_prefered = 0, .ifa_valid = UINT32_MAX};
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *info;

	m->nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
	m->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->ifa_family = netlink_family(vip);
	info->ifa_prefixlen = address_is_ipv4(vip) ? 32 : 128;
	info->ifa_scope = RT_SCOPE_UNIVERSE;
	info->ifa_index = LOOPBACK_IFINDEX;
	netlink_put_address(m, IFA_LOCAL, vip);
	netlink_put_address(m, IFA_ADDRESS, vip);
	if (add) {
		// No route of its own beside the local one: the mirror of the routes is small.
		mnl_attr_put_u32(m, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
		mnl_attr_put_u8(m, IFA_PROTO, NETLINK_VIP_PROTO);
		mnl_attr_put(m, IFA_CACHEINFO, sizeof(lifetime), &lifetime);
	}
	return netlink_request(n, m, NULL, NULL);
}

int netlink_restore_vips(struct netlink *n, struct err *e)
{
	bool *present = calloc(n->vips_n + 1, sizeof(*present)), changed = false, unused;
	char text[ADDRESS_TEXT_MAX];
	int status, first = 0;

	if (!present)
		return err_set(e, -ENOMEM, "VIPs: out of memory");
	for (size_t i = 0; i < n->addresses_n; i++) {
		const struct netlink_address *a = &n->addresses[i];
		struct lb_address *vip = find_vip(n, &a->prefix.address);

		if (vip && a->ifindex == LOOPBACK_IFINDEX)
			present[vip - n->vips] = true;
		if (vip || !a->is_ours)
			continue;
		change_vip(n, &a->prefix.address, false); // gone already: as well
		changed = true;
	}
	for (size_t i = 0; i < n->vips_n; i++) {
		if (present[i])
			continue;
		status = change_vip(n, &n->vips[i], true);
		changed = true;
		if (status && status != -EEXIST && !first)
			first = err_set(e, status, "cannot put %s on loopback: %s",
					address_render(&n->vips[i], text), strerror(-status));
	}
	free(present);
	if (changed)
		netlink_dump_addresses(n, &unused);
	if (netlink_is_passing(first))
		netlink_set_stale(n, NETLINK_ADDRESSES);
	return first;
}

int netlink_set_vips(struct netlink *n, const struct lb_address *vips, size_t vips_n, struct err *e)
{
	struct lb_address *copy = malloc(vips_n * sizeof(*copy) + 1);

	if (!copy)
		return err_set(e, -ENOMEM, "VIPs: out of memory");
	if (vips_n)
		memcpy(copy, vips, vips_n * sizeof(*copy));
	qsort(copy, vips_n, sizeof(*copy), compare_vips);
	free(n->vips);
	n->vips = copy;
	n->vips_n = vips_n;
	return netlink_restore_vips(n, e);
}

void netlink_fini_addresses(struct netlink *n)
{
	free(n->links);
	free(n->addresses);
	free(n->vips);
}
