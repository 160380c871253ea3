-- $1: whether with their trees.
select nodes.id, nodes.host, nodes.pid, nodes.version, nodes.pipelines, nodes.capacity, nodes.lease, nodes.joined_at,
    nodes.beat_at, extract(epoch from clock_timestamp() - nodes.beat_at)::double precision as age, nodes.gone,
    nodes.clock_skew, case when $1 then nodes.tree::text end as tree, nodes.tree_at, nodes.report::text,
    (select count(*) from flowstone.runs where runs.owner = nodes.id and runs.finish_order is null) as runs
from flowstone.nodes order by nodes.joined_at, nodes.id
