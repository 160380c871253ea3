with removed as (
    delete from flowstone.partition_keys where set = $1 and key = any ($2::text[]) returning 1
)
select count(*) as count from removed
