select held.run_id, held.asset, held.key, held.attempt, held.epoch, held.node, held.failed, held.cancelled
from flowstone.step_leases as held where held.node = $1 order by held.granted
