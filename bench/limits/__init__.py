"""The limits: programs that do only the inevitable part of a workload, on the same database, as fast as we know how."""
