-- The values kept beside their records, to be looked at.

create function flowstone.document(content bytea) returns jsonb
language plpgsql stable strict parallel unsafe
as $function$
begin
    return convert_from(content, 'UTF8')::jsonb;
exception when others then
    -- JSON that jsonb cannot hold: text with a NUL, a number out of all proportion, text of another encoding.
    return null;
end
$function$;
comment on function flowstone.document is 'Bytes of JSON as jsonb, or null where jsonb cannot hold them.';

create view flowstone.values as
select made.asset, made.key, made.run_id, made.attempt, made.finished_at,
    exists (
        select from flowstone.current
        where current.asset = made.asset and current.key = made.key and current.run_id = made.run_id
            and current.valid) as current,
    made.location, octet_length(payloads.content)::bigint as size,
    case when made.location like '%.json' then flowstone.document(payloads.content) end as document,
    payloads.content
from flowstone.materializations as made
join flowstone.payloads on payloads.location = made.location
where made.status = 'succeeded';
comment on view flowstone.values is 'The values that PostgresIO keeps; content is the value, document a view of it.';
comment on column flowstone.values.key is 'The encoded partition key; empty: no partition.';
comment on column flowstone.values.current is 'Whether it is the asset''s current value at this key.';
comment on column flowstone.values.document is 'The value as jsonb, if it is JSON that jsonb can hold.';
comment on column flowstone.values.content is 'The bytes that are loaded.';
