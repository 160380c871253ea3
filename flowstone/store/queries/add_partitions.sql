-- $1: the set, $2: keys; $3: by whom, $4: why, $5: whether it is noted. Returns how many were new. Their positions are in the order given, their locks in key order.
with placed as materialized (
    select given.key,
        nextval(pg_get_serial_sequence('flowstone.partition_keys', 'position')) as position
    from (
        select each.key, min(each.place) as place from unnest($2::text[]) with ordinality as each(key, place)
        group by each.key order by place
    ) as given
), added as (
    insert into flowstone.partition_keys (set, key, position) overriding system value
    select $1, placed.key, placed.position from placed order by placed.key collate "C"
    on conflict do nothing
    returning 1
), noted as (
    insert into flowstone.audit (action, by, name, reason, details)
    select 'partitions.added', $3, $1::text, $4, json_build_object('keys', count(*))
    from added where $5::boolean having count(*) > 0
)
select count(*) as count from added
