"""Networks: their records and addresses, their drivers, and what a container's start needs of them.

A start imports `attach` and a driver, and none of a third party. docs/adr/0013-networks.md
tells the whole story.
"""
