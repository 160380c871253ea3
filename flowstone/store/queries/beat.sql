-- $1: the node, $2: its clock, $3: what it says of itself, or null; returns whether it has left, and nothing if it is not
-- known any more; and the number under which nodes are watched, if they are, with whether their trees are.
with beaten as (
    update flowstone.nodes set beats = nodes.beats + 1, beat_at = clock_timestamp(),
        clock_skew = $2 - extract(epoch from clock_timestamp()), report = $3::json
    where nodes.id = $1 and not nodes.gone
)
select nodes.gone, watch.number, watch.trees_until > clock_timestamp() as trees
from flowstone.nodes left join flowstone.watch on watch.until > clock_timestamp() where nodes.id = $1
