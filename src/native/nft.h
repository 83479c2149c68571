/* nftables without a library and without a process: what is constant (two tables), and the elements that come and go.
 *
 * Everything acts in the network namespace of the calling thread, each call is one transaction unless it says otherwise, and each may
 * be made by any number of processes at once. docs/adr/0013-networks.md tells why there is never a rule for one container.
 */
#ifndef FB_NFT_H
#define FB_NFT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "network.h"

struct fb_nft_network {
	const char *bridge; /* the interface with the network's addresses; never a shard of it */
	bool masquerade, internal, icc;
};

/* Are both tables there, in this layout? False after `nft flush ruleset`, and where nothing may be asked. */
bool fb_nft_present(void);
/* Both tables, with all sets, maps, chains and rules. 1: this call made them, so that every element is missing; 0: they were there.
 * A table of another layout is made anew. */
int fb_nft_base(struct fb_error *err);
/* Let other programs' rules that drop what is forwarded pass our bridges; nothing is done where there are none. A drop is final in
 * nftables whoever accepts, so these rules must lie in the others' tables. Called at the end of fb_nft_base, and wherever another
 * engine or firewall may have started since. */
int fb_nft_coexist(struct fb_error *err);
/* A bridge network's place in the sets. Both directions may be repeated. */
int fb_nft_network(const struct fb_nft_network *network, bool add, struct fb_error *err);
/* A shard of a bridge: what comes in there is for the bridge it is linked to. Both directions may be repeated. It has no addresses of either
 * family and no ARP (IFF_NOARP, address generation "none"), since the kernel would answer for the bridge's; and route_localnet and rp_filter
 * 0, since with br_netfilter what is redirected is routed from there. */
int fb_nft_shard(const char *shard, bool internal, bool add, struct fb_error *err);
/* The guards of a container's endpoints and its published ports, all or nothing. Whoever adds holds the sockets of ports.h, so an
 * element that is there with other data is a dead container's: it is replaced. Removing takes only what has this spec's data. A table
 * that is missing is an error (ENOENT) of adding only. */
int fb_nft_endpoints(const struct fb_network_spec *spec, bool add, struct fb_error *err);
/* In a container's namespace: 127.0.0.11:53 leads to these ports of 127.0.0.11. */
int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err);

#endif
