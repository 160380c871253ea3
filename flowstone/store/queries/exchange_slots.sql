-- $1: the node, $2: its fence, $3: pools, $4: claims known to be granted, $5: claims that are over; of claims that are new, a
-- row for each pool, $6: numbers, $7: pools, $8: slots, $9: priorities, $10: runs, $11: who asks.
select fence, claim, pools from flowstone.exchange_slots($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
