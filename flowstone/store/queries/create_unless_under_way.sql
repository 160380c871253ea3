-- Creates a run unless one is under way for the same request ($11: but for these; null: in any case); which run there is
-- then, and whether it is new. No row if an unfinished run took its key meanwhile. Whoever creates several in one
-- transaction takes their locks first: lock_identities.
select created.id, created.is_new
from flowstone.create_unless_under_way($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as created
