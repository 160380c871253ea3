-- Not to_regclass: what it remembers of a name may be older than the lock that was just waited for.
select exists (
    select from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_namespace.nspname = 'flowstone' and pg_class.relname = 'migrations')
