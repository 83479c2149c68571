# cython: language_level=3, binding=False, embedsignature=False
"""The Cython face of nftables: what networks need to be there, for who makes them and who heals. A start needs none of it."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

from fastbox._error cimport fb_error, native_error

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "arpa/inet.h":
    enum: AF_INET
    enum: AF_INET6
    struct in6_addr:
        pass
    int inet_pton(int family, const char *text, void *to)

cdef extern from "arena.h":
    struct fb_arena:
        pass
    void *fb_arena_alloc(fb_arena *arena, size_t size)
    char *fb_arena_strdup(fb_arena *arena, const char *text)
    void fb_arena_free(fb_arena *arena)

cdef extern from "network.h":
    struct fb_address:
        int family
        in6_addr v6
    enum: FB_LINK_VETH
    struct fb_endpoint:
        int kind
        const char *host
        unsigned char mac[6]
        c_bool has_mac
        fb_address *addresses
        size_t address_count
        c_bool guard
    struct fb_port:
        int protocol
        fb_address *hosts
        size_t host_count
        uint16_t port
        fb_address address
        fb_address address6
        uint16_t taken
    struct fb_network_spec:
        fb_arena arena
        fb_endpoint *endpoints
        size_t endpoint_count
        fb_port *ports
        size_t port_count

cdef extern from "nft.h":
    struct fb_nft_network:
        const char *bridge
        c_bool masquerade
        c_bool internal
        c_bool icc
    c_bool fb_nft_present() nogil
    int fb_nft_base(fb_error *err) nogil
    int fb_nft_coexist(fb_error *err) nogil
    int c_network "fb_nft_network"(const fb_nft_network *network, c_bool add, fb_error *err) nogil
    int fb_nft_shard(const char *shard, c_bool internal, c_bool add, fb_error *err) nogil
    int fb_nft_endpoints(const fb_network_spec *spec, c_bool add, fb_error *err) nogil
    int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, fb_error *err) nogil


cdef bytes _interface(object name):
    cdef bytes raw = (<str?>name).encode()
    if not 0 < len(raw) < 16 or b"\0" in raw:
        raise ValueError(f"not the name of an interface: {name!r}")
    return raw


def present():
    """Are both tables there, in this version's layout?"""
    cdef c_bool there
    with nogil:
        there = fb_nft_present()
    return bool(there)


def base():
    """Make both tables, and let other programs' tables pass our bridges. True: they were not there, so no element is."""
    cdef fb_error err
    cdef int rc
    with nogil:
        rc = fb_nft_base(&err)
    if rc < 0:
        raise native_error(&err)
    return rc == 1


def coexist():
    """Let other programs' tables pass our bridges (`base` does it, too)."""
    cdef fb_error err
    cdef int rc
    with nogil:
        rc = fb_nft_coexist(&err)
    if rc < 0:
        raise native_error(&err)


def network(bridge, bint masquerade, bint internal, bint icc, bint add):
    """Put a bridge network into the sets, or take it out; either may be repeated."""
    cdef fb_error err
    cdef fb_nft_network wanted
    cdef bytes name = _interface(bridge)
    cdef int rc
    wanted.bridge, wanted.masquerade, wanted.internal, wanted.icc = name, masquerade, internal, icc
    with nogil:
        rc = c_network(&wanted, add, &err)
    if rc < 0:
        raise native_error(&err)


def shard(name, bint internal, bint add):
    """The same for a shard of a network's bridge: what comes in there is for that bridge."""
    cdef fb_error err
    cdef bytes raw = _interface(name)
    cdef const char *c_name = raw
    cdef int rc
    with nogil:
        rc = fb_nft_shard(c_name, internal, add, &err)
    if rc < 0:
        raise native_error(&err)


cdef void *_room(fb_arena *arena, size_t size) except NULL:
    cdef void *room = fb_arena_alloc(arena, size)
    if room == NULL:
        raise MemoryError()
    return room


cdef int _address(object text, fb_address *to) except -1:
    if not text:
        return 0
    to.family = AF_INET6 if ":" in text else AF_INET
    if inet_pton(to.family, (<str?>text).encode(), &to.v6) != 1:
        raise ValueError(f"not an address: {text!r}")
    return 0


cdef fb_address *_addresses(object texts, fb_arena *arena) except NULL:
    cdef fb_address *made = <fb_address *>_room(arena, sizeof(fb_address) * (len(texts) + 1))
    for i, text in enumerate(texts):
        _address(text, &made[i])
    return made


cdef int _fill(fb_network_spec *spec, list guards, list ports) except -1:
    cdef fb_endpoint *endpoint
    cdef fb_port *port
    cdef bytes raw
    spec.endpoints = <fb_endpoint *>_room(&spec.arena, sizeof(fb_endpoint) * (len(guards) + 1))
    spec.ports = <fb_port *>_room(&spec.arena, sizeof(fb_port) * (len(ports) + 1))
    for host, mac, addresses in guards:
        endpoint = &spec.endpoints[spec.endpoint_count]
        endpoint.kind, endpoint.guard, endpoint.has_mac = FB_LINK_VETH, True, True
        raw = _interface(host)
        endpoint.host = fb_arena_strdup(&spec.arena, raw)
        if endpoint.host == NULL:
            raise MemoryError()
        raw = bytes.fromhex(mac.replace(":", ""))
        if len(raw) != 6:
            raise ValueError(f"not a MAC address: {mac!r}")
        memcpy(endpoint.mac, <const char *>raw, 6)
        endpoint.addresses, endpoint.address_count = _addresses(addresses, &spec.arena), len(addresses)
        spec.endpoint_count += 1
    for protocol, hosts, taken, inner, address, address6 in ports:
        port = &spec.ports[spec.port_count]
        port.protocol, port.taken, port.port = protocol, taken, inner
        port.hosts, port.host_count = _addresses(hosts, &spec.arena), len(hosts)
        _address(address, &port.address)
        _address(address6, &port.address6)
        spec.port_count += 1
    return 0


def endpoints(guards, ports, bint add):
    """Guards `(host's interface, MAC, addresses)` and ports `(protocol's number, addresses of the host, the host's port, the
    container's port, address, address6)` of one container: all or nothing. Whoever adds has reserved the ports.
    """
    cdef fb_network_spec spec
    cdef fb_error err
    cdef int rc
    spec = fb_network_spec()
    try:
        _fill(&spec, list(guards), list(ports))
        with nogil:
            rc = fb_nft_endpoints(&spec, add, &err)
        if rc < 0:
            raise native_error(&err)
    finally:
        fb_arena_free(&spec.arena)


def redirect(uint16_t udp_port, uint16_t tcp_port):
    """In this thread's network namespace, a container's: 127.0.0.11:53 leads to these ports of 127.0.0.11."""
    cdef fb_error err
    cdef int rc
    with nogil:
        rc = fb_nft_redirect(udp_port, tcp_port, &err)
    if rc < 0:
        raise native_error(&err)
