"""The one process of a host (and run directory) that serves names and relays ports of containers.

It is started by the first packet and ends when nobody needs it. It decides nothing and records
nothing: what it knows comes from the leases of the networks and from what supervisors hand over
(docs/dns.md). Nothing else of fastbox imports it.
"""
