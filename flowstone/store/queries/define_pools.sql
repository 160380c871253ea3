-- $1: the node, $2: the pools that it defines, $3: their slots.
select fence from flowstone.define_pools($1, $2, $3)
