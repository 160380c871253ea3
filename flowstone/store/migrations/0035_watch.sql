-- Somebody looks at what the nodes do: until then each says it at once, instead of with its beats.

create table flowstone.watch (
    single       boolean primary key default true check (single),
    number       bigint not null default 0,
    until        timestamptz not null default '-infinity',
    trees_until  timestamptz not null default '-infinity'
) with (fillfactor = 50);
comment on table flowstone.watch is 'One row: until when nodes are watched, and their trees as well; each who watches raises the number.';
insert into flowstone.watch default values;

-- Null where nothing can be written, as on a standby.
create function flowstone.watch_nodes(seconds double precision, and_trees boolean) returns bigint
language plpgsql as $function$
declare
    given bigint;
begin
    if current_setting('transaction_read_only')::boolean then
        return null;
    end if;
    update flowstone.watch set number = watch.number + 1,
        until = clock_timestamp() + make_interval(secs => seconds),
        trees_until = case when and_trees then clock_timestamp() + make_interval(secs => seconds) else watch.trees_until end
    returning watch.number into given;
    perform pg_notify('flowstone', 'watch:' || given || case when and_trees then ' trees' else '' end);
    return given;
end
$function$;
