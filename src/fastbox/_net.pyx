# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of the host's network: bridges, links, routes, and what a dead container left. No third party is asked."""

from libc.stddef cimport size_t

from fastbox._error cimport fb_error, native_error

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "network.h":
    enum: FB_NETWORK_ADDRESSES
    struct fb_address:
        int family
    struct fb_network_spec:
        size_t endpoint_count
    bint fb_address_read(const char *text, fb_address *ret_address) nogil
    int fb_network_parse(const char *text, size_t length, fb_network_spec *ret_network, fb_error *err) nogil
    int fb_network_read_taken(fb_network_spec *network, const char *text, size_t length, fb_error *err) nogil
    void fb_network_give_back(const fb_network_spec *network, const char *container) nogil
    void fb_network_free(fb_network_spec *network) nogil

cdef extern from "nft.h":
    int fb_nft_endpoints(const fb_network_spec *spec, bint add, fb_error *err) nogil

cdef extern from "bridge.h":
    struct fb_bridge:
        const char *name
        const fb_address *addresses
        size_t address_count
        unsigned mtu
        c_bool ipv6
        const char *main
        c_bool isolated
    int fb_bridge_ensure(const fb_bridge *bridge, fb_error *err) nogil
    int fb_bridge_delete(const char *name, fb_error *err) nogil
    int fb_route_clash(const fb_address *subnet, char *ret_route, size_t size, fb_error *err) nogil


cdef bytes _text(object text):
    cdef bytes raw = (<str?>text).encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a text holds a NUL")
    return raw


cdef int _address(object text, fb_address *to) except -1:
    cdef bytes raw = _text(text)
    if not fb_address_read(raw, to):
        raise ValueError(f'"{text}" is no address')
    return 0


def bridge_ensure(name, addresses, unsigned mtu, bint ipv6, main="", bint isolated=False):
    """The bridge is there and complete afterwards; True: this call made it."""
    cdef bytes c_name = _text(name), c_main = _text(main)
    cdef fb_address list_[FB_NETWORK_ADDRESSES]
    cdef fb_bridge bridge
    cdef fb_error err
    cdef int r
    if len(addresses) > FB_NETWORK_ADDRESSES:
        raise ValueError("too many addresses")
    if not 0 < len(c_name) < 16 or len(c_main) > 15:
        raise ValueError("not the name of an interface")
    for i, address in enumerate(addresses):
        _address(address, &list_[i])
    bridge.name = c_name
    bridge.addresses = list_
    bridge.address_count = len(addresses)
    bridge.mtu = mtu
    bridge.ipv6 = ipv6
    bridge.main = <const char *>c_main if c_main else NULL
    bridge.isolated = isolated
    with nogil:
        r = fb_bridge_ensure(&bridge, &err)
    if r < 0:
        raise native_error(&err)
    return r > 0


def link_delete(name):
    """An interface, with the pair of veths when it is a shard; one that has gone is no error."""
    cdef bytes c_name = _text(name)
    cdef const char *n = c_name
    cdef fb_error err
    cdef int r
    if not 0 < len(c_name) < 16:
        raise ValueError("not the name of an interface")
    with nogil:
        r = fb_bridge_delete(n, &err)
    if r < 0:
        raise native_error(&err)


def route_clash(subnet):
    """A route of the host that overlaps with the subnet, as "10.1.0.0/16 dev eth0"; "" for none."""
    cdef fb_address address
    cdef char route[96]
    cdef fb_error err
    cdef int r
    _address(subnet, &address)
    with nogil:
        r = fb_route_clash(&address, route, sizeof(route), &err)
    if r < 0:
        raise native_error(&err)
    return route.decode()


def release(bytes document, bint leases, container="", bytes live=b""):
    """Take back what a network.json names, of a container that is dead: elements, the ports of its live
    state, and its leases unless they are another's by now ("": whosoever they are)."""
    cdef fb_network_spec network
    cdef bytes c_container = _text(container)
    cdef const char *owner = <const char *>c_container if c_container else NULL
    cdef const char *text = document
    cdef const char *state = live
    cdef size_t length = len(document), state_length = len(live)
    cdef fb_error err
    cdef int r
    with nogil:
        r = fb_network_parse(text, length, &network, &err)
        if r == 0:
            if state_length:
                r = fb_network_read_taken(&network, state, state_length, &err)
            if r == 0:
                r = fb_nft_endpoints(&network, False, &err)
            # Elements that stay hold nothing up; a lease that stays is an address lost.
            if leases:
                fb_network_give_back(&network, owner)
            fb_network_free(&network)
    if r < 0:
        raise native_error(&err)
