select nodes.id, nodes.host, nodes.pid, nodes.version, nodes.pipelines, nodes.capacity, nodes.lease, nodes.joined_at,
    nodes.beat_at, extract(epoch from nodes.expires_at - clock_timestamp())::double precision as seconds_left,
    nodes.clock_skew, nodes.tree::text, nodes.tree_at,
    (select count(*) from flowstone.runs where runs.owner = nodes.id and runs.finish_order is null) as runs
from flowstone.nodes where nodes.expires_at > clock_timestamp() - interval '1 day'
order by nodes.joined_at, nodes.id
