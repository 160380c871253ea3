with gone as materialized (
    select id from flowstone.item_sets where run_id = $1 and asset = $2 and key = $3
    for update
), forgotten as (
    delete from flowstone.payloads where location in (
        select items.location from flowstone.items where items.set_id = (select id from gone))
)
delete from flowstone.item_sets where id in (select id from gone)
