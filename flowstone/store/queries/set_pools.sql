select pools.name, pools.set_slots from flowstone.pools where pools.set_slots is not null
