"""Many machines: one durable job a host, measured there alone, and its result brought back.

    document    fleet.json: what was asked of which hosts, and how far each of them is
"""
