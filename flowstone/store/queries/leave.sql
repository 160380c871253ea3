with left_now as (
    update flowstone.nodes set gone = true where id = $1 returning 1
)
select pg_notify('flowstone', 'nodes:') from left_now
