-- $1: the node; $2: the pipelines it takes work of from now on.
with changed as (
    update flowstone.nodes set pipelines = $2 where nodes.id = $1 returning 1
)
select pg_notify('flowstone', 'nodes:') from changed
