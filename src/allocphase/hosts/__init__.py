"""Many machines: one durable job a host, measured there alone, and its result brought back.

On the controller `jobs` gives each host its job and fetches what comes of it; it knows of an
`executor` no more than its protocol, so that a simulation runs on the same code. On the host
`execution` runs the job in a folder of its own, and goes on with it after any kill. Between the two
is data alone: `document` (fleet.json), `job`, `objects` (files sent along), `archive` (what comes
back). Only the modules whose names begin with dask know of dask.
"""
