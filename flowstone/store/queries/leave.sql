with gone as (
    update flowstone.nodes set expires_at = clock_timestamp(), gone = true where id = $1 returning 1
)
select pg_notify('flowstone', 'nodes:') from gone
