-- $1: the pool, $2: its slots as defined, $3: its slots from now on, or null; $4: by whom, $5: why, $6: whether it is noted.
with done as materialized (
    select flowstone.set_pool($1, $2, $3) as changed
), noted as (
    insert into flowstone.audit (action, by, name, reason, details)
    select 'pool.changed', $4, $1::text, $5, json_build_object('slots', $3::integer)
    from done where done.changed and $6::boolean
)
select changed from done
