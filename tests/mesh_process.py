"""One of several processes that fit over their devices together: prints what it got as JSON."""

import json
import sys

import jax

if __name__ == "__main__":
    address, number, count, devices, jobs = sys.argv[1], *map(json.loads, sys.argv[2:])
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    if address != "none":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, num_processes=count, process_id=number)

    from mesh_fits import make_sharding, run_case, shown

    given = [
        shown(run_case(name, make_sharding(shape, kind), driver))
        for name, shape, kind, driver in jobs
    ]
    print(json.dumps(given))
