-- Whether it takes writes at all, and which of the tables and sequences that are written this user may not write.
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only, (
    select string_agg(pg_class.relname, ', ' order by pg_class.relname)
    from pg_class join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_namespace.nspname = 'flowstone'
        and pg_class.relname not in ('migrations', 'queue_schedules', 'queue_statistics')
        and case pg_class.relkind
            when 'r' then not (
                has_table_privilege(pg_class.oid, 'select') and has_table_privilege(pg_class.oid, 'insert')
                and has_table_privilege(pg_class.oid, 'update') and has_table_privilege(pg_class.oid, 'delete'))
            when 'S' then pg_class.relname not like 'queue\_%' and not has_sequence_privilege(pg_class.oid, 'usage')
            else false end
) as closed
