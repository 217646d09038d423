"""The worker of `embedded_worker.rs`: reads a table by its ticket, and puts what it makes of it.

Address, token and local door come from the environment, so there is nothing to configure.
"""

import sys

import airlane

ticket, totals = sys.argv[1:]
with airlane.connect() as client:
    orders = client.get(ticket)
    print(f"the worker read {len(orders)} rows by {orders.transport}", flush=True)
    sums = orders.to_arrow().group_by("region").aggregate([("amount", "sum")]).sort_by("region")
    client.put(totals, sums)
