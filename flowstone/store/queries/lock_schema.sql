-- Held to the end of the transaction. The number is nobody else's: the first letters of the name.
select pg_advisory_xact_lock(x'666c6f7773746f6e'::bigint)
