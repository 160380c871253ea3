-- $1: the pool, $2: its slots as defined, $3: its slots from now on, or null.
select flowstone.set_pool($1, $2, $3)
